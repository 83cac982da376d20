"""The benchmark of search quality measures what it says: contestants, batches, what is kept, and comparisons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adaptor.neighbours import top_k
from adaptor.rows import unit_rows
from adaptor.training_set import Supervision
from jobs.fit.labels import Labelled
from jobs.sources.queries import Queries
from tests.benchmarks.contest import pairs, smec, untrained
from tests.benchmarks.contest.adawidth import Householder
from tests.benchmarks.contest.kept import place
from tests.benchmarks.contest.methods import METHODS
from tests.benchmarks.contest.product import prepare_here
from tests.benchmarks.contest.proxies import validity
from tests.benchmarks.contest.results import Run, comparisons, original, records
from tests.benchmarks.contest.scores import score
from tests.benchmarks.contest.sets import ScoredQueries, SearchSet, load, present

DIM, ROWS = 24, 300


@pytest.fixture(scope="module")
def there() -> SearchSet:
    """Relevant is what is of the same small cluster, which shows in directions of little variance only."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(40, DIM)) * np.r_[np.full(6, 0.1), np.full(DIM - 6, 0.5)]
    spread = np.r_[np.full(6, 1.0), np.full(DIM - 6, 0.15)]
    cluster, asked = draw.integers(40, size=ROWS), draw.integers(40, size=180)
    noise = [spread * draw.normal(size=(count, DIM)) for count in (ROWS, 180)]
    vectors = unit_rows((centres[cluster] + noise[0]).astype(np.float32))
    queries = unit_rows((centres[asked] + noise[1]).astype(np.float32))
    relevant = [np.flatnonzero(cluster == c)[:4].tolist() for c in asked]
    ids = [f"d{row}" for row in range(ROWS)]
    qrels = {f"q{i}": {f"d{row}": 1 + row % 2 for row in relevant[i]} for i in range(120)}
    documents = {name: vectors[row] for row, name in enumerate(ids)}
    asked_for = Queries([f"q{i}" for i in range(120)], queries[:120])
    labelled = Labelled(name="train", queries=asked_for, qrels=qrels, documents=documents)
    judged = {i: dict.fromkeys(relevant[120 + i], 1) for i in range(60)}
    truth = top_k(queries[120:], vectors, np.arange(ROWS), 100, "cosine")
    return SearchSet("tiny", ids, vectors, labelled, ScoredQueries(queries[120:], judged, truth))


def test_centred_pca_takes_the_mean_off_queries_and_documents(there: SearchSet) -> None:
    short = untrained.pca_centred(there, 0).transform(there.test.vectors, dim=5)
    centred = there.vectors - there.vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    expected = (there.test.vectors - there.vectors.mean(axis=0)) @ directions[:5].T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(short), np.abs(expected), atol=1e-4)


def test_full_width_maps_that_only_turn_find_what_the_original_finds(there: SearchSet) -> None:
    for make in (untrained.truncation, untrained.random_rotation, untrained.variance_order, untrained.pca):
        found = score(there, {DIM: make(there, 0)}, [DIM])[DIM]
        assert found["overlap@10"].mean() > 0.999
        assert found["pairwise_distance"].max() < 1e-5


def test_reflections_start_as_the_identity_and_stay_orthogonal() -> None:
    module = Householder(DIM, 0)
    torch.testing.assert_close(module.matrix(), torch.eye(DIM), atol=1e-5, rtol=0)
    with torch.no_grad():
        module.mirrors.add_(torch.randn_like(module.mirrors))
    moved, one_by_one = module.matrix(), torch.eye(DIM)
    for mirror in module.mirrors:
        one_by_one = one_by_one @ (torch.eye(DIM) - 2 * torch.outer(mirror, mirror) / mirror.square().sum())
    torch.testing.assert_close(moved, one_by_one, atol=1e-4, rtol=0)
    assert (moved - torch.eye(DIM)).abs().max() > 0.1
    torch.testing.assert_close(moved @ moved.T, torch.eye(DIM), atol=1e-4, rtol=0)


def test_negatives_that_count_are_not_relevant(there: SearchSet) -> None:
    data = prepare_here(there, {}, 0, labels=True).prepared.job.data
    drawn = pairs.draw_pairs(data, 0, 3)
    labels = pairs.supervision_of(data).labels
    judged = set(zip(labels.queries.tolist(), labels.documents.tolist(), strict=True))
    assert all(pair in judged for pair in zip(drawn.queries.tolist(), drawn.documents.tolist(), strict=True))
    for query, row, counts in zip(drawn.queries.tolist(), drawn.negatives, drawn.counted, strict=True):
        assert [(query, int(d)) not in judged for d in row] == counts.tolist()


def test_a_random_hold_out_keeps_every_judgment(there: SearchSet) -> None:
    data = prepare_here(there, {}, 0, labels=True).prepared.job.data
    before, after = (pairs.supervision_of(d) for d in (data, pairs.with_random_hold_out(data, 0)))
    assert len(after.held_out) == len(before.held_out) > 5

    def judged(asked: Supervision) -> list[tuple[bytes, int, float]]:
        """Query vector, document and grade of every judgment."""
        parts = ((asked.queries, asked.labels), (asked.held_out, asked.held_out_labels))
        return sorted(
            (vectors[query].tobytes(), int(document), float(grade))
            for vectors, labels in parts
            for query, document, grade in zip(labels.queries, labels.documents, labels.grades, strict=True)
        )

    assert judged(before) == judged(after)
    for query, document in zip(after.labels.queries, after.labels.documents, strict=True):
        assert document not in after.negatives[query]


def test_a_stage_keeps_as_many_columns_as_it_is_wide() -> None:
    stage = smec.Stage(torch.eye(DIM), torch.linspace(0, 3, DIM), 7)
    sampled = stage.sampled(torch.randn(5, DIM), torch.zeros(DIM))
    assert ((sampled != 0).sum(1) == 7).all()
    torch.testing.assert_close(stage(torch.eye(DIM)), torch.eye(DIM).flip(1)[:, :7])
    sampled.square().sum().backward()  # type: ignore[no-untyped-call]
    assert stage.importance.grad is not None
    assert stage.importance.grad.abs().max() > 0


@pytest.mark.slow
def test_the_literature_learns_what_the_judgments_say(there: SearchSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "STEPS", 150)
    cut = score(there, METHODS["truncation"].fit(there, 0), [4, DIM])
    for name, dim in (("search-adaptor", DIM), ("smec", DIM), ("smec", 16), ("adawidth supervised", 16)):
        maps = METHODS[name].fit(there, 0)
        learned = score(there, maps, [dim])[dim]["ndcg@10"].mean()
        assert learned > cut[DIM]["ndcg@10"].mean() + 0.02, name


def test_a_kept_fit_is_found_again_and_another_key_is_not(there: SearchSet, tmp_path: Path) -> None:
    kept = place(tmp_path, "tiny", "variance order", 0, METHODS["variance order"].key())
    assert kept.maps() is None
    maps = METHODS["variance order"].fit(there, 0)
    kept.keep_maps(maps, {"method": "variance order"})
    found = score(there, maps, [8])
    kept.keep_scores(8, found[8])
    again, scores = kept.maps(), kept.scores(8)
    assert again is not None
    assert again[DIM].adaptor_id == maps[DIM].adaptor_id
    assert scores is not None
    assert {name: values.tolist() for name, values in scores.items()} == {n: v.tolist() for n, v in found[8].items()}
    assert kept.scores(16) is None
    assert place(tmp_path, "tiny", "variance order", 0, "another").maps() is None
    assert len({method.key() for method in METHODS.values()}) == len(METHODS)


def test_ours_is_compared_with_pca_and_with_the_best_other(there: SearchSet) -> None:
    names = {"truncation": untrained.truncation, "pca": untrained.pca, "ours": untrained.pca_centred}
    runs = [Run("tiny", n, 0, score(there, {DIM: make(there, 0)}, [4, 8, DIM])) for n, make in names.items()]
    compared = comparisons(runs, "ours", ["truncation", "pca"])
    values = {(run.method, dim): s["ndcg@10"].mean() for run in runs for dim, s in run.scores.items()}
    for row in compared:
        expected = values["ours", row["dim"]] - values[row["against"], row["dim"]]
        assert row["difference"] == pytest.approx(expected, abs=1e-5)
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    best = {row["dim"]: row["against"] for row in compared if row["role"] == "best"}
    assert best[4] == max(("truncation", "pca"), key=lambda name: values[name, 4])
    assert {row["seed"] for row in records(runs)} == {0}
    found = validity(runs + original(runs, "tiny", DIM), frozenset(["ours"]))
    assert {(w["proxy"], w["methods"], w["columns"]) for w in found} >= {("overlap@10", "all", 6)}
    assert all(w["linear_correlation"] > 0 for w in found if w["proxy"].startswith("overlap"))


def test_the_demo_is_a_set_whose_full_width_scores_are_known(tmp_path: Path) -> None:
    folders = present(tmp_path, [])
    assert [*folders] == ["demo"]
    demo = load("demo", folders["demo"])
    assert (len(demo.labelled.queries.ids), len(demo.test.vectors)) == (809, 300)
    full = score(demo, METHODS["truncation"].fit(demo, 0), [384])[384]
    assert full["ndcg@10"].mean() == pytest.approx(0.645, abs=0.001)
