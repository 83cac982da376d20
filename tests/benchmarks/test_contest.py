"""The benchmark of search quality measures what it says: contestants, batches, what is kept, and comparisons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adaptor.baselines import ORIGINAL
from adaptor.training_set import Supervision
from tests.benchmarks.contest import leanvec, pairs, smec, untrained
from tests.benchmarks.contest.adawidth import Householder
from tests.benchmarks.contest.kept import place
from tests.benchmarks.contest.maps import Maps, Sides
from tests.benchmarks.contest.methods import METHODS
from tests.benchmarks.contest.product import prepare_here
from tests.benchmarks.contest.proxies import validity
from tests.benchmarks.contest.results import Run, comparisons, original, records
from tests.benchmarks.contest.scores import score
from tests.benchmarks.contest.sets import SearchSet, load, present
from tests.benchmarks.contest.tables import table

DIM = 24


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
    assert _ids(again) == _ids(maps)
    assert scores is not None
    assert {name: values.tolist() for name, values in scores.items()} == {n: v.tolist() for n, v in found[8].items()}
    assert kept.scores(16) is None
    assert place(tmp_path, "tiny", "variance order", 0, "another").maps() is None
    assert len({method.key() for method in METHODS.values()}) == len(METHODS)


def test_maps_of_two_sides_are_kept_apart(there: SearchSet, tmp_path: Path) -> None:
    kept, maps = place(tmp_path, "tiny", "leanvec", 0, "key"), leanvec.fit(there, 0)
    kept.keep_maps(maps, {})
    again = kept.maps()
    assert again is not None
    assert _ids(again) == _ids(maps)
    assert len({*_ids(again)}) == 2


def _ids(maps: Maps) -> list[str]:
    """The adaptors, documents' first."""
    sides = (s if isinstance(s, Sides) else Sides(s, s) for s in maps.values())
    return [adaptor.adaptor_id for side in sides for adaptor in (side.documents, side.queries)]


def test_leanvec_keeps_what_these_queries_ask_for(there: SearchSet) -> None:
    (sides,) = leanvec.fit(there, 0).values()
    assert isinstance(sides, Sides)
    assert score(there, {DIM: sides}, [DIM])[DIM]["overlap@10"].mean() > 0.999
    queries, dim = there.labelled.queries.vectors, 8
    exact = queries @ there.vectors.T
    short = sides.queries.transform(queries, dim=dim) @ sides.documents.transform(there.vectors, dim=dim).T
    axes = untrained.pca(there, 0).columns(dim)
    by_pca = queries @ axes @ (there.vectors @ axes).T
    assert np.square(short - exact).mean() < np.square(by_pca - exact).mean()


def test_soft_whitening_evens_variances_out_a_little(there: SearchSet) -> None:
    before, after = (
        np.square(there.vectors @ make(there, 0).columns(DIM)).mean(axis=0)
        for make in (untrained.pca, untrained.softly_whitened)
    )
    assert (np.diff(after) < 0).all()
    assert 0.7 * before[0] / before[-1] < after[0] / after[-1] < 0.9 * before[0] / before[-1]


def test_tables_show_the_dims_of_each_set(there: SearchSet) -> None:
    runs = []
    for name, dims in (("narrow", [4, 8]), ("wide", [4, 8, DIM])):
        found = score(there, {DIM: untrained.pca(there, 0)}, dims)
        runs += [Run(name, "pca", 0, found), Run(name, ORIGINAL, 0, {dims[-1]: found[dims[-1]]})]
    heads = [line for line in table(runs, "ndcg@10", METHODS).splitlines() if line.startswith("| method")]
    assert heads == ["| method | 4 | 8 |", f"| method | 4 | 8 | {DIM} |", *["| method | 4 | 8 |"] * 2]


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
