"""What evaluate and advise measure on what: opened and checked once per command, before anything is read at length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from adaptor.rows import Floats, Ids
from jobs.config.advise import AdviseConfig, AdvisingSection
from jobs.config.evaluate import EvaluateConfig, EvaluationSection
from jobs.search.judgments import MatchedJudgments, Qrels, judged_documents, match_judgments
from jobs.search.sampled_queries import sample_queries
from jobs.search.scoring import DEPTH, ColumnScores
from jobs.search.source_search import SearchResult, SearchSpec
from jobs.sources.columns import describe_vectors
from jobs.sources.dimension import dimension
from jobs.sources.queries import Queries, read_qrels, read_queries
from jobs.sources.source import Shard, Source, open_source
from jobs.storage.adaptors import beyond_the_head, open_adaptor

ConfigT = TypeVar("ConfigT", EvaluateConfig, AdviseConfig)


@dataclass(frozen=True, kw_only=True)
class MeasureContext(Generic[ConfigT]):
    """An adaptor at some dims (ascending), the source (its shards, the Arrow type of its vectors), queries and
    judgments where given, and the documents that the judgments of these queries name."""

    config: ConfigT
    adaptor: Adaptor
    dims: tuple[int, ...]
    shards: list[Shard]
    vector_type: pa.DataType
    queries: Queries | None
    qrels: Qrels
    judged_ids: tuple[str, ...]

    def search_spec(self, queries: Floats, exclude: Ids | None) -> SearchSpec:
        """The search for `queries` (q, d), none of which finds the row at its place in `exclude` (q,)."""
        return SearchSpec(
            source=self.config.source,
            adaptor=self.adaptor,
            dims=self.dims,
            queries=queries,
            exclude=exclude,
            judged_ids=self.judged_ids,
            depth=DEPTH,
        )

    def whole_source_search(self, options: EvaluationSection | AdvisingSection) -> SearchSpec:
        """The search for the queries, or for rows of the source that serve as queries."""
        if self.queries is not None:
            return self.search_spec(self.queries.vectors, None)
        sampled = sample_queries(self.config.source, self.shards, self.adaptor, options.sampled_queries, options.seed)
        return self.search_spec(sampled.vectors, sampled.row_numbers)

    def match_judgments(self, rows_by_id: Mapping[str, Sequence[int]]) -> MatchedJudgments | None:
        """The judgments on the rows that the source has of every judged id; None where there are no judgments."""
        if self.queries is None or not self.judged_ids:
            return None
        return match_judgments(self.qrels, self.queries.ids, rows_by_id)

    def add_retrieval_scores(self, scores: ColumnScores, result: SearchResult) -> list[str]:
        """Add the retrieval measures where there are judgments; what to tell of these."""
        judgments = self.match_judgments(result.judged_rows)
        if judgments is None:
            return []
        for column, by_metric in judgments.score(result.neighbours).items():
            scores[column] |= by_metric
        return judgments.notes

    def untrained_dims(self) -> list[str]:
        """What to tell of dims that the adaptor was not trained for: one sentence, or nothing."""
        others = [dim for dim in self.dims if dim not in self.adaptor.dims]
        named = ", ".join(map(str, others))
        return [f"the adaptor was not trained for dim {named}{beyond_the_head(self.adaptor, others)}"] if others else []


EvaluateContext = MeasureContext[EvaluateConfig]
AdviseContext = MeasureContext[AdviseConfig]


def open_evaluate(config: EvaluateConfig) -> EvaluateContext:
    """Open what evaluate measures: the dims of the config, else the trained ones. Raises InputError as `_open` does."""
    adaptor = open_adaptor(config.adaptor, config.source)
    dims = config.evaluation.dims
    return _open(config, adaptor, adaptor.dims if dims is None else _checked("evaluation.dims", dims, adaptor))


def open_advise(config: AdviseConfig) -> AdviseContext:
    """Open what advise measures: the trained dims and those of the config. Raises InputError as `_open` does."""
    adaptor = open_adaptor(config.adaptor, config.source)
    dims = config.advising.dims
    more = () if dims is None else _checked("advising.dims", dims, adaptor)
    return _open(config, adaptor, tuple(sorted({*adaptor.dims, *more})))


def _checked(field: str, dims: Sequence[int], adaptor: Adaptor) -> tuple[int, ...]:
    """The dims of a field, ascending. Raises InputError when there are none, or one outside 1..d."""
    if not dims or not all(1 <= dim <= adaptor.input_dim for dim in dims):
        raise InputError(
            f"{field} is {list(dims)}: give dims from 1 to {adaptor.input_dim}, the dimension of the adaptor"
        )
    return tuple(sorted(set(dims)))


def _open(config: ConfigT, adaptor: Adaptor, dims: tuple[int, ...]) -> MeasureContext[ConfigT]:
    """Open the rest. Raises InputError when the source has another dimension than the adaptor, a file cannot be read,
    or queries and judgments have no query in common."""
    source = open_source(config.source)
    shards = source.shards()
    vector_type = _vector_type(config, adaptor, source, shards)
    queries = read_queries(config.queries, adaptor.input_dim) if config.queries else None
    qrels = read_qrels(config.qrels) if config.qrels else {}
    return MeasureContext(
        config=config,
        adaptor=adaptor,
        dims=dims,
        shards=shards,
        vector_type=vector_type,
        queries=queries,
        qrels=qrels,
        judged_ids=judged_documents(qrels, queries.ids) if queries and config.qrels else (),
    )


def _vector_type(
    config: EvaluateConfig | AdviseConfig, adaptor: Adaptor, source: Source, shards: list[Shard]
) -> pa.DataType:
    """Of the first shard with rows. Raises InputError when the adaptor takes vectors of another dimension."""
    section = config.source
    shard, info = next((s, i) for s in shards if (i := describe_vectors(source, s, section)).rows or s is shards[-1])
    input_dim = dimension(source, section, [shard], [info])
    if input_dim != adaptor.input_dim:
        raise InputError(
            f"the adaptor in {config.adaptor.uri} takes {adaptor.input_dim} dimensions, the vectors of {source.uri} "
            f"have {input_dim}: give the adaptor that was fitted on this source"
        )
    return info.schema.field(section.vector_column).type
