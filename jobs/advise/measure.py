"""What each dim keeps, per query: on nested samples carried over to the whole source, or on the whole source itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.neighbours import Ids
from adaptor.rows import Floats
from jobs.advise.nested_samples import Asked, Found, Scored, extrapolate, sample_sizes, search_nested
from jobs.config.advise import AdviseConfig
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.search.judgments import Judged, judged_documents, match, scored
from jobs.search.label_free import overlaps
from jobs.search.methods import ORIGINAL, Column
from jobs.search.sampled_queries import SampledQueries, sample_queries
from jobs.search.scoring import DEPTH, Scores
from jobs.search.source_search import Search, wrong_lengths
from jobs.search.tasks import search_source
from jobs.sources.queries import Queries
from jobs.sources.source import Shard
from jobs.sources.whole_source import read_documents

#: Times the rows of the sample up to which carrying over was measured (tests/benchmarks/sample_size.py).
_FAR = 8

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Subject:
    """What is judged on what: the adaptor at some dims, the source's shards, queries and judgments where given."""

    config: AdviseConfig
    adaptor: Adaptor
    dims: tuple[int, ...]
    shards: list[Shard]
    queries: Queries | None
    qrels: Qrels | None


@dataclass(frozen=True)
class Measured:
    """Scores per column, measure and query for the whole source, a set per curve (one where all rows were searched);
    the nested samples' own (`steps`, rows and scores); rows searched, rows of the source; queries asked; what the user
    should know."""

    curves: list[dict[Column, dict[str, Scores]]]
    steps: list[tuple[int, Scored]]
    searched: int
    source_rows: int
    queries: int
    notes: list[str]


def measure(subject: Subject, progress: Progress) -> Measured:
    """Measure on a sample, or on the whole source where `advising.sample_rows` is null."""
    rows = subject.config.advising.sample_rows
    return _measure_source(subject, progress) if rows is None else _measure_sample(subject, rows, progress)


def _measure_sample(subject: Subject, sample_rows: int, progress: Progress) -> Measured:
    """Search nested samples of the source and carry their scores over to all its rows."""
    config, adaptor, options = subject.config, subject.adaptor, subject.config.advising
    drawn = sample_queries(config.source, subject.shards, adaptor, sample_rows, options.seed)
    rows = len(drawn.names)
    # All rows of the source that can be searched, judged by the share of the sample that can.
    whole = round(drawn.source_rows * rows / (rows + drawn.left_out))
    progress.note(f"searching {rows:,} of {drawn.source_rows:,} rows in {plural(len(subject.shards), 'shards')}")
    draws = np.random.default_rng([options.seed, rows])
    order = draws.permutation(rows)
    vectors, ids = drawn.vectors[order], [drawn.ids[place] for place in order]
    if subject.queries is None:
        own = np.sort(draws.choice(rows, min(options.sampled_queries, rows), replace=False))
        asked = Asked(vectors[own], own, adaptor, subject.dims, config.source.metric)
    else:
        asked = Asked(subject.queries.vectors, None, adaptor, subject.dims, config.source.metric)
    rows_of, extra = _judged_rows(subject, ids, vectors)
    judged = _match(subject, rows_of)
    sizes = sample_sizes(rows, whole)
    alone, joined = [], []
    for size, (found, with_judged) in zip(
        sizes, search_nested(asked, vectors, sizes, extra, config.cluster), strict=True
    ):
        alone.append((size, _overlaps(found, adaptor.input_dim)))
        if judged is not None:
            outside = int((extra[0] >= size).sum())
            joined.append((size + outside, scored(judged, with_judged)))
        progress.advance()
    curves = extrapolate(alone, whole)
    if joined:
        for curve, beside in zip(curves, extrapolate(joined, whole), strict=True):
            for column, measures in beside.items():
                curve[column] |= measures
    notes = [*_left_out(drawn), *_far(rows, whole), *(judged.notes if judged is not None else [])]
    return Measured(curves, [*alone, *joined], rows, drawn.source_rows, len(asked.queries), notes)


def _measure_source(subject: Subject, progress: Progress) -> Measured:
    """Search the whole source, exactly, as evaluate does."""
    config, adaptor, queries = subject.config, subject.adaptor, subject.queries
    exclude: Ids | None = None
    if queries is None:
        drawn = sample_queries(
            config.source, subject.shards, adaptor, config.advising.sampled_queries, config.advising.seed
        )
        vectors, exclude = drawn.vectors, drawn.names
    else:
        vectors = queries.vectors
    wanted = judged_documents(subject.qrels, queries.ids) if subject.qrels and queries else ()
    search = Search(config.source, adaptor.to_files(), subject.dims, vectors, exclude, wanted, DEPTH)
    found = search_source(search, subject.shards, config.cluster, progress)
    scores = _overlaps(found.neighbours, adaptor.input_dim)
    judged = _match(subject, found.judged)
    notes = [f"{found.left_out.total():,} unusable rows are left out"] if found.left_out else []
    if judged is not None:
        notes += judged.notes
        for column, measures in scored(judged, found.neighbours).items():
            scores[column] |= measures
    usable = found.rows - found.left_out.total()
    return Measured([scores], [(usable, scores)], usable, found.rows, len(vectors), notes)


def _overlaps(found: Found, input_dim: int) -> dict[Column, dict[str, Scores]]:
    truth = found[Column(ORIGINAL, input_dim)]
    return {column: overlaps(truth, near) for column, near in found.items()}


def _match(subject: Subject, rows_of: Mapping[str, list[int]]) -> Judged | None:
    if subject.qrels is None or subject.queries is None:
        return None
    return match(subject.qrels, subject.queries.ids, rows_of)


def _judged_rows(subject: Subject, ids: list[str], vectors: Floats) -> tuple[dict[str, list[int]], tuple[Ids, Floats]]:
    """The rows of every judged document, by id: places in the sample, or numbers beyond it; and all of their vectors.

    A judged document must be there to be found, sampled or not: those that were not drawn are looked up in the source.
    """
    nothing = np.empty(0, np.int64), np.empty((0, subject.adaptor.input_dim), np.float32)
    if subject.qrels is None or subject.queries is None:
        return {}, nothing
    wanted = set(judged_documents(subject.qrels, subject.queries.ids))
    rows_of: dict[str, list[int]] = {}
    for place, name in enumerate(ids):
        if name in wanted:
            rows_of.setdefault(name, []).append(place)
    missing = frozenset(wanted - rows_of.keys())
    config = subject.config
    found = read_documents(config.source, subject.shards, missing, subject.adaptor.input_dim) if missing else {}
    names = sorted(found)
    fetched = np.stack([found[name] for name in names]) if names else nothing[1]
    good = [place for place in range(len(names)) if place not in wrong_lengths(fetched, subject.adaptor)]
    rows_of |= {names[place]: [len(ids) + number] for number, place in enumerate(good)}
    sampled = np.array(sorted(row for rows in rows_of.values() for row in rows if row < len(ids)), np.int64)
    beyond = np.arange(len(ids), len(ids) + len(good), dtype=np.int64)
    return rows_of, (np.concatenate([sampled, beyond]), np.concatenate([vectors[sampled], fetched[good]]))


def _far(rows: int, whole: int) -> list[str]:
    """What to tell when the source is far larger than the sample."""
    if whole <= _FAR * rows:
        return []
    return [
        f"the source has {whole / rows:,.0f} times the rows that were searched: read the values as lower bounds, raise "
        "advising.sample_rows, or set it to null to search the whole source"
    ]


def _left_out(drawn: SampledQueries) -> list[str]:
    return [f"{drawn.left_out:,} rows of the sample are unusable and left out"] if drawn.left_out else []
