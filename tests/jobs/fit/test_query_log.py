"""Queries without labels: which of a log take part, and what they bring with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptor.errors import InputError
from adaptor.neighbours import top_k
from adaptor.pca import moments
from adaptor.quality import overlap_at_k
from adaptor.rows import unit_rows
from adaptor.selection import Selection
from adaptor.settings import Metric
from adaptor.stages import outcome, train_stages
from adaptor.training_set import Labels, hold_out, hold_out_queries
from jobs.config.fit import FitConfig
from jobs.fit import query_log
from jobs.fit.data import Prepared, prepare
from jobs.fit.query_log import distinct, read_query_log
from jobs.fit.sample import Sample
from jobs.sources.queries import Queries
from tests.benchmarks.contest.product import SearchHere
from tests.jobs.fit.inputs import DIM, clustered, config, write
from tests.jobs.fit.inputs import query_log as write_log


def prepared(
    tmp_path: Path, log: Any, metric: Metric = "cosine", vectors: Any = None, **sections: Any
) -> tuple[Prepared, list[str]]:
    """What training starts from, and the notes; the neighbour search is one of this process."""
    vectors, notes = clustered(300)[0] if vectors is None else vectors, list[str]()
    settings = config(tmp_path, tmp_path, source={"metric": metric}, queries={"uri": "log"}, **sections)
    sample = Sample(
        vectors=vectors,
        ids=[str(i) for i in range(len(vectors))],
        moments=moments(vectors, metric),
        left_out=[],
        source_rows=len(vectors),
    )
    queries = Queries([str(i) for i in range(len(log))], log) if len(log) else None
    return prepare(settings, sample, queries, SearchHere(metric), notes.append), notes


def best_of(begun: Prepared) -> Selection:
    return outcome(train_stages(begun.job, None), begun.job)


def fresh(queries: int = 100) -> Any:
    return clustered(queries, seed=5)[0]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_queries_have_their_own_nearest_training_rows(metric: Metric, tmp_path: Path) -> None:
    log = fresh() * 3
    found, notes = prepared(tmp_path, log, metric)
    data, rows = found.job.data, clustered(300)[0][hold_out(300, 0.1, 0)[0]]
    assert "50 queries without labels (no qrels) to learn from, 50 more held out" in notes
    assert data.log is not None
    assert (data.anchors, len(data.corpus), data.supervision) == (270, 320, None)
    left = unit_rows(log) if metric != "l2" else log
    right = unit_rows(rows) if metric == "cosine" else rows
    scores = left @ right.T
    if metric == "l2":
        scores = 2 * scores - np.square(right).sum(1)
    near = np.argsort(-scores, axis=1)
    nearest = Labels(np.arange(100), near[:, 0], np.ones(100, np.float32))  # `distinct` keeps the order of the log
    training, held = hold_out_queries(nearest, 0.1, 0)
    assert np.array_equal(data.log.neighbours, near[training, :10])
    assert np.array_equal(data.log.truth, near[held, :100])
    expected = (left / (found.basis.scale if metric == "l2" else 1)) @ found.basis.matrix
    np.testing.assert_allclose(data.corpus[270:], expected[training], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.log.held_out, expected[held], rtol=1e-4, atol=1e-5)


def test_other_queries_of_the_log_find_more_of_their_neighbours(tmp_path: Path) -> None:
    vectors, found = clustered(600)[0], list[float]()
    asked, log = (clustered(200, seed)[0] * np.r_[np.full(6, 0.05), np.ones(DIM - 6)] for seed in (3, 2))
    numbers = np.arange(len(vectors))
    truth = top_k(asked.astype(np.float32), vectors, numbers, 10, "cosine").ids
    for queries in (log[:0], log):  # without any the training set has none
        begun, _ = prepared(tmp_path, queries.astype(np.float32), "cosine", vectors)
        selection = best_of(begun)
        assert selection.head is not None
        short = begun.basis.matrix[:, : len(selection.head)] @ selection.head.float().numpy()[:, :4]
        near = top_k((asked @ short).astype(np.float32), vectors @ short, numbers, 10, "cosine").ids
        found.append(float(overlap_at_k(truth, near, 10).mean()))
    assert found[1] > found[0] + 0.03


def test_few_rows_have_few_neighbours(tmp_path: Path) -> None:
    found, _ = prepared(tmp_path, fresh(), vectors=clustered(20)[0], mining={"neighbours": 50})
    assert found.job.data.log is not None
    assert found.job.data.log.neighbours.shape == (50, 17)
    best_of(found)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("precision", [np.float32, np.float16])
def test_a_query_that_is_a_document_is_left_out(metric: Metric, precision: Any, tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).lognormal(0, 1, (300, 1))  # by `dot` few are their own nearest
    documents = (clustered(300)[0] * lengths).astype(np.float32)
    scale = 1 if metric == "l2" else 2
    known = documents[:120].astype(precision).astype(np.float32) * scale
    log = np.concatenate([known[:60], fresh(50), known[60:]])
    found, notes = prepared(tmp_path, log, metric, documents)
    assert found.job.data.log is not None
    alone = prepared(tmp_path, fresh(50), metric, documents)[0].job.data
    assert alone.log is not None
    assert np.array_equal(found.job.data.log.neighbours, alone.log.neighbours)
    assert np.array_equal(found.job.data.corpus, alone.corpus)
    assert any(note.endswith("; 120 more are documents of the sample, and left out") for note in notes)
    nothing, notes = prepared(tmp_path, documents, metric, documents)  # held-out ones, too
    assert nothing.job.data.log is None
    assert len(nothing.job.data.corpus) == 270
    assert any(note.startswith("warning: fewer than two of 300 queries") for note in notes)


def test_by_distance_a_longer_copy_is_another_point(tmp_path: Path) -> None:
    documents = clustered(300)[0]
    found, _ = prepared(tmp_path, documents * 1.5, "l2", documents)
    assert found.job.data.log is not None
    assert len(found.job.data.log.neighbours) + len(found.job.data.log.held_out) == 300


def test_each_query_counts_once_and_no_more_than_the_most_are_drawn_by_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = fresh(60)
    assert np.array_equal(distinct(np.repeat(log, 3, axis=0), "l2", 0), log)
    assert len(distinct(np.concatenate([log, -0.0 * log, 0.0 * log]), "l2", 0)) == 61
    np.testing.assert_allclose(distinct(np.concatenate([log, log]), "dot", 0), unit_rows(log))
    assert distinct(log.astype(np.float64), "dot", 0).dtype == np.float32
    assert query_log._MOST == 10_000
    monkeypatch.setattr(query_log, "_MOST", 20)
    few = [distinct(log, "l2", seed) for seed in (0, 0, 1)]
    assert len(few[0]) == 20
    assert np.array_equal(few[0], few[1])
    assert not np.array_equal(few[0], few[2])
    place = {row.tobytes(): number for number, row in enumerate(log)}
    assert [place[row.tobytes()] for row in few[2]] == sorted(place[row.tobytes()] for row in few[2])


def test_the_unit_of_a_log_changes_nothing_where_it_changes_no_ranking(tmp_path: Path) -> None:
    one, ten = (prepared(tmp_path, fresh() * unit, "dot")[0].job.data for unit in (1, 8))
    np.testing.assert_allclose(one.corpus, ten.corpus, atol=1e-6)
    assert one.log is not None
    assert ten.log is not None
    assert np.array_equal(one.log.neighbours, ten.log.neighbours)


def test_a_log_may_repeat_ids_but_must_fit_the_source(tmp_path: Path) -> None:
    settings = config(tmp_path, tmp_path, **write_log(tmp_path))
    write(tmp_path / "log.parquet", ["same", "same"], fresh(2))
    log = read_query_log(settings, DIM)
    assert log is not None
    assert len(log.vectors) == 2
    write(tmp_path / "log.parquet", ["short"], fresh(1)[:, :20])
    with pytest.raises(InputError, match="20"):
        read_query_log(settings, DIM)


@pytest.mark.parametrize(("metric", "size"), [("cosine", 1e-25), ("dot", 1e-25), ("dot", 1e20), ("l2", 1e20)])
def test_a_query_whose_length_float32_does_not_hold_is_named(metric: Metric, size: float, tmp_path: Path) -> None:
    settings = config(tmp_path, tmp_path, source={"metric": metric}, **write_log(tmp_path))
    vectors = fresh(3)
    vectors[1] *= size
    write(tmp_path / "log.parquet", ["a", "b", "c"], vectors)
    with pytest.raises(InputError, match="the vector of query 'b' is too long or too short for float32"):
        read_query_log(settings, DIM)


def test_the_papers_perceptron_learns_from_no_log() -> None:
    given = {"source": {"uri": "in"}, "output": {"uri": "out"}, "queries": {"uri": "q"}}
    assert FitConfig.model_validate(given).qrels is None
    paper = {**given, "adaptor": {"recipe": "paper"}}
    with pytest.raises(ValueError, match=r"give qrels, or set adaptor\.recipe: default"):
        FitConfig.model_validate(paper)
    assert FitConfig.model_validate({**paper, "qrels": {"uri": "r"}}).qrels is not None
