"""What each column keeps, per query: on nested samples extrapolated to the whole source, or on the whole source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from adaptor.rows import Floats
from jobs.advise.nested_samples import JudgedRows, SampleScores, extrapolate, sample_sizes, search_nested
from jobs.config.advise import AdvisingSection
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.search.context import MeasureContext
from jobs.search.label_free import overlap_scores
from jobs.search.rescoring import with_rescored
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
    samples; rows searched, rows of the source, queries; notes for the user."""

    curves: list[ColumnScores]
    samples: list[SampleScores]
    searched_rows: int
    source_rows: int
    queries: int
    notes: list[str]


def measure(context: MeasureContext, options: AdvisingSection, progress: Progress) -> Measurement:
    """Measure on a sample, or on the whole source where `options.sample_rows` is null."""
    if options.sample_rows is None:
        return _measure_source(context, options, progress)
    return _measure_sample(context, options, options.sample_rows, progress)


def _measure_source(context: MeasureContext, options: AdvisingSection, progress: Progress) -> Measurement:
    """Search the whole source, exactly, as evaluate does."""
    spec = context.whole_source_search(options.sampled_queries, options.seed)
    result = search_source(spec, context.shards, context.config.cluster, progress)
    result = replace(result, neighbours=with_rescored(result.neighbours, context.columns))
    scores = overlap_scores(result.neighbours)
    left_out = result.left_out.total()
    notes = [f"{left_out:,} unusable rows are left out"] if left_out else []
    notes += context.add_retrieval_scores(scores, result)
    return Measurement(
        curves=[scores],
        samples=[SampleScores(result.rows - left_out, scores)],
        searched_rows=result.rows - left_out,
        source_rows=result.rows,
        queries=len(spec.queries),
        notes=notes,
    )


def _measure_sample(
    context: MeasureContext, options: AdvisingSection, sample_rows: int, progress: Progress
) -> Measurement:
    """Search nested samples of the source and extrapolate their scores to all its rows."""
    config = context.config
    sample = sample_queries(config.source, context.shards, context.adaptor, sample_rows, options.seed)
    rows = len(sample.ids)
    # All rows of the source that can be searched, judged by the share of the sample that can.
    whole = round(sample.source_rows * rows / (rows + sample.left_out))
    progress.note(f"searching {rows:,} of {sample.source_rows:,} rows in {plural(len(context.shards), 'shards')}")
    draws = np.random.default_rng([options.seed, rows])
    order = draws.permutation(rows)
    vectors = sample.vectors[order]
    if context.queries is None:
        query_rows = np.sort(draws.choice(rows, min(options.sampled_queries, rows), replace=False))
        spec = context.search_spec(vectors[query_rows], query_rows)
    else:
        spec = context.search_spec(context.queries.vectors)
    judged = _judged_rows(context, [sample.ids[row] for row in order], vectors)
    judgments = context.match_judgments(judged.by_id)
    sizes = sample_sizes(rows, whole)
    overlaps: list[SampleScores] = []
    retrieval: list[SampleScores] = []
    searches = search_nested(spec, vectors, sizes, judged, config.cluster)
    for size, (sampled, with_judged) in zip(sizes, searches, strict=True):
        overlaps.append(SampleScores(size, overlap_scores(with_rescored(sampled, context.columns))))
        if judgments is not None:
            outside = int((judged.row_numbers >= size).sum())
            retrieval.append(SampleScores(size + outside, judgments.score(with_rescored(with_judged, context.columns))))
        progress.advance()
    curves = extrapolate(overlaps, whole)
    for curve, retrieval_curve in zip(curves, extrapolate(retrieval, whole), strict=False):
        for column, by_metric in retrieval_curve.items():
            curve[column] |= by_metric
    return Measurement(
        curves=curves,
        samples=[*overlaps, *retrieval],
        searched_rows=rows,
        source_rows=sample.source_rows,
        queries=len(spec.queries),
        notes=[*_sample_notes(rows, sample.left_out, whole), *(judgments.notes if judgments is not None else [])],
    )


def _judged_rows(context: MeasureContext, ids: Sequence[str], vectors: Floats) -> JudgedRows:
    """The rows of every judged document, as a query must be able to find it: those outside the sample are looked up in
    the source. `ids` and `vectors` are those of the sample."""
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
    """Notes on unusable rows, and on a source that is far larger than the sample."""
    notes = [f"{left_out:,} rows of the sample are unusable and left out"] if left_out else []
    if whole > _FAR * rows:
        notes.append(
            f"the source has {whole / rows:,.0f} times the rows that were searched: read the values as lower bounds, "
            "raise advising.sample_rows, or set it to null to search the whole source"
        )
    return notes
