"""Queries without labels: which of a log take part, and what they bring with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptor.errors import InputError
from adaptor.neighbours import Neighbours, top_k
from adaptor.pca import moments
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from adaptor.stages import outcome, train_stages
from adaptor.training import Job
from adaptor.training_set import TrainingSet, hold_out
from jobs.fitting import query_log
from jobs.fitting.data import prepare
from jobs.fitting.query_log import chosen, read_query_log
from jobs.fitting.sample import Sample
from tests.jobs.fitting.inputs import DIM, clustered, config, write
from tests.jobs.fitting.inputs import query_log as write_log


def prepared(tmp_path: Path, log: Any, metric: Metric = "cosine", rows: int = 300, **sections: Any) -> Any:
    """What training starts from, and the notes; the neighbour search is one of this process."""
    vectors, notes = clustered(rows)[0], list[str]()

    def search(
        queries: Floats, corpus: Sequence[Floats], k: int, *, itself: bool = False, probes: int | None = None
    ) -> Neighbours:
        whole = np.concatenate(corpus)
        numbers = np.arange(len(whole))
        return top_k(queries, whole, numbers, k, metric, numbers if itself else None)

    settings = config(tmp_path, tmp_path, store={"metric": metric}, queries={"uri": "log"}, **sections)
    sample = Sample(vectors, [str(i) for i in range(rows)], moments(vectors, metric), [], rows)
    return prepare(settings, sample, chosen(log, metric, 0), search, notes.append), notes, settings


def best_of(data: TrainingSet, settings: Any) -> Any:
    job = Job(data, settings.loss, settings.training, settings.store.metric, (4, 8, 16, 32))
    return outcome(train_stages(job, settings.adaptor, None, lambda look: None), job, settings.adaptor)


def fresh(queries: int = 100) -> Any:
    return clustered(queries, seed=5)[0]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_queries_have_their_own_nearest_training_rows(metric: Metric, tmp_path: Path) -> None:
    log = fresh() * 3
    found, notes, _ = prepared(tmp_path, log, metric)
    data, rows = found.data, clustered(300)[0][hold_out(300, 0.1, 0)[0]]
    assert any(note.startswith("100 queries without labels (no qrels)") for note in notes)
    assert (data.log.first, len(data.corpus), data.supervision) == (270, 370, None)
    left = unit_rows(log) if metric != "l2" else log
    right = unit_rows(rows) if metric == "cosine" else rows
    scores = left @ right.T
    if metric == "l2":
        scores = 2 * scores - np.square(right).sum(1)
    # `chosen` keeps the order of the log.
    assert np.array_equal(data.log.neighbours, np.argsort(-scores, axis=1)[:, :10])
    expected = (left / (found.scale if metric == "l2" else 1)) @ found.start
    np.testing.assert_allclose(data.corpus[270:], expected, rtol=1e-4, atol=1e-5)


def test_few_rows_have_few_neighbours(tmp_path: Path) -> None:
    found, _, settings = prepared(tmp_path, fresh(), rows=20, mining={"neighbours": 50})
    assert found.data.log.neighbours.shape == (100, 17)
    best_of(found.data, settings)


def test_a_query_that_is_a_document_is_left_out_and_held_out_rows_stay_unseen(tmp_path: Path) -> None:
    documents = clustered(300)[0]
    log = np.concatenate([fresh(50), documents[:120].astype(np.float16).astype(np.float32) * 2])
    found, notes, _ = prepared(tmp_path, log)
    assert len(found.data.log.neighbours) == 50
    assert any("120 more queries are documents of the sample" in note for note in notes)
    nothing, notes, _ = prepared(tmp_path, documents)
    assert nothing.data.log is None
    assert len(nothing.data.corpus) == 270
    assert any(note.startswith("0 queries without labels") for note in notes)


def test_each_query_counts_once_and_no_more_than_the_most_are_drawn_by_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = fresh(60)
    assert np.array_equal(chosen(np.repeat(log, 3, axis=0), "l2", 0), log)
    np.testing.assert_allclose(chosen(np.concatenate([log, log]), "dot", 0), unit_rows(log))
    monkeypatch.setattr(query_log, "_MOST", 20)
    few = [chosen(log, "l2", seed) for seed in (0, 0, 1)]
    assert len(few[0]) == 20
    assert np.array_equal(few[0], few[1])
    assert not np.array_equal(few[0], few[2])
    assert {row.tobytes() for row in few[2]} < {row.tobytes() for row in log}


def test_the_unit_of_a_log_changes_nothing_where_it_changes_no_ranking(tmp_path: Path) -> None:
    one, ten = (prepared(tmp_path, fresh() * unit, "dot")[0].data for unit in (1, 8))
    np.testing.assert_allclose(one.corpus, ten.corpus, atol=1e-6)
    assert np.array_equal(one.log.neighbours, ten.log.neighbours)


def test_a_log_may_repeat_ids_but_must_fit_the_store(tmp_path: Path) -> None:
    settings = config(tmp_path, tmp_path, **write_log(tmp_path))
    write(tmp_path / "log.parquet", ["same", "same"], fresh(2))
    log = read_query_log(settings, DIM)
    assert log is not None
    assert len(log) == 2
    write(tmp_path / "log.parquet", ["short"], fresh(1)[:, :20])
    with pytest.raises(InputError, match="20"):
        read_query_log(settings, DIM)
