"""What evaluate and advise measure on what, opened and checked once per command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adaptor.artefact import Adaptor
from adaptor.codec import STEPPED, coded_dims
from adaptor.errors import InputError
from adaptor.rows import Floats, Ids
from jobs.config.databases import DATABASES, Held
from jobs.config.evaluate import MeasureConfig, MeasuredSection
from jobs.search.columns import Columns, available
from jobs.search.judgments import MatchedJudgments, Qrels, judged_documents, match_judgments
from jobs.search.sampled_queries import sample_queries
from jobs.search.scoring import DEPTH, ColumnScores
from jobs.search.source_search import SearchResult, SearchSpec
from jobs.sources.columns import describe_vectors, dimension
from jobs.sources.pinned import pinned
from jobs.sources.queries import Queries, read_qrels, read_queries
from jobs.sources.source import Shard, open_source
from jobs.sources.vectors import number_bytes
from jobs.storage.adaptors import open_adaptor

#: What is measured unless the configuration says something else; of an adaptor without codes only the first.
USUAL_ENCODINGS = ("float16", *STEPPED)


@dataclass(frozen=True, kw_only=True)
class MeasureContext:
    """What is compared (dims ascending), the shards of the source and the bytes of a vector in it, queries and
    judgments where given, and the documents that these judgments name."""

    config: MeasureConfig
    columns: Columns
    shards: list[Shard]
    vector_bytes: int
    queries: Queries | None
    qrels: Qrels
    judged_ids: tuple[str, ...]

    @property
    def adaptor(self) -> Adaptor:
        """The adaptor that is measured."""
        return self.columns.adaptor

    def search_spec(self, queries: Floats, exclude: Ids | None = None) -> SearchSpec:
        """The search for `queries` (q, d), none of which finds the row that `exclude` (q,) names for it."""
        return SearchSpec(
            source=self.config.source,
            columns=self.columns,
            queries=queries,
            exclude=exclude,
            judged_ids=self.judged_ids,
            depth=DEPTH,
        )

    def whole_source_search(self, sampled_queries: int, seed: int) -> SearchSpec:
        """The search for the queries, or for `sampled_queries` rows of the source where there are none."""
        if self.queries is not None:
            return self.search_spec(self.queries.vectors)
        sampled = sample_queries(self.config.source, self.shards, self.adaptor, sampled_queries, seed)
        return self.search_spec(sampled.vectors, sampled.row_numbers)

    def match_judgments(self, rows_by_id: Mapping[str, Sequence[int]]) -> MatchedJudgments | None:
        """The judgments on the rows that the source has of every judged id; None without judgments."""
        if self.queries is None or not self.judged_ids:
            return None
        return match_judgments(self.qrels, self.queries.ids, rows_by_id)

    def add_retrieval_scores(self, scores: ColumnScores, result: SearchResult) -> list[str]:
        """Add the retrieval measures where there are judgments; notes about these."""
        judgments = self.match_judgments(result.judged_rows)
        if judgments is None:
            return []
        for column, by_metric in judgments.score(result.neighbours).items():
            scores[column] |= by_metric
        return judgments.notes


def open_context(
    config: MeasureConfig, section: MeasuredSection, setting: str, *, with_trained: bool, database: str | None = None
) -> MeasureContext:
    """Open what is measured: the dims of `section`, which the configuration calls `setting`, the trained dims of the
    adaptor where it names none or `with_trained`, and its encodings at these, as a database holds and compares them.

    Raises InputError for no dims or impossible ones, an encoding that the adaptor does not have, a source of another
    dimension than the adaptor, a file that cannot be read, and queries and judgments without a query in common.
    """
    adaptor, dims = open_adaptor(config.adaptor, config.source), section.dims
    if dims is not None and not (dims and all(1 <= dim <= adaptor.input_dim for dim in dims)):
        raise InputError(
            f"{setting}.dims is {list(dims)}: give dims from 1 to {adaptor.input_dim}, the dimension of the adaptor"
        )
    trained = adaptor.dims if dims is None or with_trained else ()
    measured = tuple(sorted({*trained, *(dims or ())}))
    has_codes = not set(measured).isdisjoint(coded_dims(adaptor.codes))
    coded = available(adaptor, measured, _kinds(adaptor, section, database, has_codes))
    config, shards, vector_bytes = _open_shards(config, adaptor)
    queries = read_queries(config.queries, adaptor.input_dim) if config.queries else None
    qrels = read_qrels(config.qrels) if config.qrels else {}
    return MeasureContext(
        config=config,
        columns=Columns(adaptor, measured, coded),
        shards=shards,
        vector_bytes=vector_bytes,
        queries=queries,
        qrels=qrels,
        judged_ids=judged_documents(qrels, queries.ids) if queries and config.qrels else (),
    )


def _kinds(adaptor: Adaptor, section: MeasuredSection, database: str | None, has_codes: bool) -> list[Held]:
    """The kinds of column that are measured: those of a database, or all that the adaptor has codes for (`has_codes`:
    at one of the measured dims); of these the ones that the configuration names, if it does.

    Raises InputError where the database holds none of the named ones.
    """
    if database is None:
        usual = USUAL_ENCODINGS if has_codes else USUAL_ENCODINGS[:1]
        return [Held(encoding) for encoding in (usual if section.encodings is None else section.encodings)]
    held, named = DATABASES[database].held, section.encodings
    if named is not None:
        kinds = [kind for kind in held if kind.encoding in named]
        if named and not kinds and "float32" not in named:
            raise InputError(
                f"{DATABASES[database].title} holds none of {', '.join(named)}: take "
                f"{', '.join(dict.fromkeys(('float32', *(kind.encoding for kind in held))))}"
            )
        return kinds
    # By Euclidean distance only the cosine of unit vectors can be found, and distances themselves.
    fits = [kind for kind in held if adaptor.metric != "dot" or kind.compared != "euclid"]
    return [kind for kind in fits if has_codes or kind.encoding in ("float32", "float16")]


def _open_shards(config: MeasureConfig, adaptor: Adaptor) -> tuple[MeasureConfig, list[Shard], int]:
    """The configuration pinned to what is listed, the shards, and the uncompressed bytes of a vector in the first of
    them with rows."""
    source, section = open_source(config.source), config.source
    shards = source.shards()
    config = pinned(config, source)
    for shard in shards:
        info = describe_vectors(source, shard, section)
        if info.rows:
            break
    input_dim = dimension(source, section, [shard], [info])
    if input_dim != adaptor.input_dim:
        raise InputError(
            f"the adaptor in {config.adaptor.uri} takes {adaptor.input_dim} dimensions, the vectors of {source.uri} "
            f"have {input_dim}: give the adaptor that was fitted on this source"
        )
    return config, shards, input_dim * number_bytes(info.schema.field(section.vector_column).type)
