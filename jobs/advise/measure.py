"""What each dim keeps, per query: on nested samples extrapolated to the whole source, or on the whole source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaptor.rows import Floats
from jobs.advise.nested_samples import JudgedRows, SampleScores, extrapolate, sample_sizes, search_nested
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.search.context import AdviseContext
from jobs.search.label_free import overlap_scores
from jobs.search.sampled_queries import sample_queries
from jobs.search.scoring import ColumnScores
from jobs.search.source_search import wrong_lengths
from jobs.search.tasks import search_source
from jobs.sources.whole_source import read_documents

#: Times the rows of the sample up to which extrapolation was measured (tests/benchmarks/sample_size.py).
_FAR = 8


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Scores per query for the whole source, a set per curve (one where all rows were searched); those on the nested
    samples; rows searched, rows of the source; how many queries; what the user should know."""

    curves: list[ColumnScores]
    samples: list[SampleScores]
    searched_rows: int
    source_rows: int
    queries: int
    notes: list[str]


def measure(context: AdviseContext, progress: Progress) -> Measurement:
    """Measure on a sample, or on the whole source where `advising.sample_rows` is null."""
    rows = context.config.advising.sample_rows
    return _measure_source(context, progress) if rows is None else _measure_sample(context, rows, progress)


def _measure_source(context: AdviseContext, progress: Progress) -> Measurement:
    """Search the whole source, exactly, as evaluate does."""
    spec = context.whole_source_search(context.config.advising)
    result = search_source(spec, context.shards, context.config.cluster, progress)
    scores = overlap_scores(result.neighbours)
    notes = [f"{result.left_out.total():,} unusable rows are left out"] if result.left_out else []
    notes += context.add_retrieval_scores(scores, result)
    usable = result.rows - result.left_out.total()
    return Measurement(
        curves=[scores],
        samples=[SampleScores(usable, scores)],
        searched_rows=usable,
        source_rows=result.rows,
        queries=len(spec.queries),
        notes=notes,
    )


def _measure_sample(context: AdviseContext, sample_rows: int, progress: Progress) -> Measurement:
    """Search nested samples of the source and extrapolate their scores to all its rows."""
    config, options = context.config, context.config.advising
    drawn = sample_queries(config.source, context.shards, context.adaptor, sample_rows, options.seed)
    rows = len(drawn.ids)
    # All rows of the source that can be searched, judged by the share of the sample that can.
    whole = round(drawn.source_rows * rows / (rows + drawn.left_out))
    progress.note(f"searching {rows:,} of {drawn.source_rows:,} rows in {plural(len(context.shards), 'shards')}")
    draws = np.random.default_rng([options.seed, rows])
    order = draws.permutation(rows)
    vectors = drawn.vectors[order]
    if context.queries is None:
        own = np.sort(draws.choice(rows, min(options.sampled_queries, rows), replace=False))
        spec = context.search_spec(vectors[own], own)
    else:
        spec = context.search_spec(context.queries.vectors, None)
    judged = _judged_rows(context, [drawn.ids[row] for row in order], vectors)
    judgments = context.match_judgments(judged.by_id)
    sizes = sample_sizes(rows, whole)
    alone: list[SampleScores] = []
    with_judged: list[SampleScores] = []
    for size, (sample, joined) in zip(sizes, search_nested(spec, vectors, sizes, judged, config.cluster), strict=True):
        alone.append(SampleScores(size, overlap_scores(sample)))
        if judgments is not None:
            outside = int((judged.row_numbers >= size).sum())
            with_judged.append(SampleScores(size + outside, judgments.score(joined)))
        progress.advance()
    curves = extrapolate(alone, whole)
    if with_judged:
        for curve, retrieval in zip(curves, extrapolate(with_judged, whole), strict=True):
            for column, by_metric in retrieval.items():
                curve[column] |= by_metric
    return Measurement(
        curves=curves,
        samples=[*alone, *with_judged],
        searched_rows=rows,
        source_rows=drawn.source_rows,
        queries=len(spec.queries),
        notes=[*_sample_notes(rows, drawn.left_out, whole), *(judgments.notes if judgments is not None else [])],
    )


def _judged_rows(context: AdviseContext, ids: Sequence[str], vectors: Floats) -> JudgedRows:
    """The rows of every judged document. It must be there to be found, sampled or not: those that were not drawn are
    looked up in the source. `ids` and `vectors` are those of the sample."""
    judged_ids = frozenset(context.judged_ids)
    by_id: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(ids):
        if name in judged_ids:
            by_id[name].append(row)
    sampled = np.array(sorted(row for rows in by_id.values() for row in rows), np.int64)
    missing = judged_ids.difference(by_id)
    input_dim = context.adaptor.input_dim
    read = read_documents(context.config.source, context.shards, missing, input_dim) if missing else {}
    names = sorted(read)
    fetched = np.stack([read[name] for name in names]) if names else np.empty((0, input_dim), np.float32)
    usable = np.delete(np.arange(len(names)), [*wrong_lengths(fetched, context.adaptor)])
    by_id |= {names[position]: [len(ids) + number] for number, position in enumerate(usable)}
    row_numbers = np.concatenate([sampled, np.arange(len(ids), len(ids) + len(usable))])
    return JudgedRows(by_id, row_numbers, np.concatenate([vectors[sampled], fetched[usable]]))


def _sample_notes(rows: int, left_out: int, whole: int) -> list[str]:
    """What to tell of unusable rows, and of a source that is far larger than the sample."""
    notes = [f"{left_out:,} rows of the sample are unusable and left out"] if left_out else []
    if whole > _FAR * rows:
        notes.append(
            f"the source has {whole / rows:,.0f} times the rows that were searched: read the values as lower bounds, "
            "raise advising.sample_rows, or set it to null to search the whole source"
        )
    return notes
