"""PCA, label-free quality and the evidence, each against its textbook definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from adaptor.artefact import build
from adaptor.baselines import shorten
from adaptor.evidence import evidence
from adaptor.pairs import score_pairs
from adaptor.pca import merge_moments, moments, rotation
from adaptor.quality import graded_overlap, overlap_at_k, pairwise_distance, similarities, topk_distance
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def vectors(rows: int = 300, dim: int = 10, seed: int = 0) -> Any:
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(rows, dim)) * np.linspace(2, 0.2, dim) + 0.5).astype(np.float32)


def test_the_rotation_is_that_of_the_uncentred_singular_vectors() -> None:
    e = vectors()
    found = rotation(moments(e, "dot"))
    _, _, expected = np.linalg.svd(e.astype(np.float64))
    np.testing.assert_allclose(np.abs(np.sum(found * expected.T, axis=0)), 1, atol=1e-6)
    np.testing.assert_allclose(found.T.astype(np.float64) @ found, np.eye(10), atol=1e-6)
    assert (found[np.abs(found).argmax(axis=0), np.arange(10)] > 0).all()


def test_cosine_takes_unit_rows_but_reports_the_lengths_as_they_are() -> None:
    e = vectors()
    found, unit = moments(e, "cosine"), moments(unit_rows(e), "dot")
    np.testing.assert_allclose(found.outer, unit.outer, rtol=1e-6)
    lengths = np.linalg.norm(e.astype(np.float64), axis=1)
    assert (found.shortest, found.longest) == pytest.approx((lengths.min(), lengths.max()), rel=1e-6)


def test_moments_of_blocks_add_up() -> None:
    e = vectors()
    whole = moments(e, "dot")
    merged = merge_moments([moments(part, "dot") for part in np.array_split(e, 7)])
    assert merged.rows == whole.rows
    np.testing.assert_allclose(merged.outer, whole.outer, rtol=1e-12)
    np.testing.assert_allclose(merged.total, e.astype(np.float64).sum(0), rtol=1e-12)
    assert (merged.shortest, merged.longest) == (whole.shortest, whole.longest)


def test_overlap_counts_common_neighbours_whatever_their_order() -> None:
    truth = np.array([[1, 2, 3], [4, 5, 6], [7, -1, -1], [-1, -1, -1]])
    found = np.array([[3, 1, 9], [6, 5, 4], [8, 7, -1], [1, 2, 3]])
    assert overlap_at_k(truth, found, 3).tolist() == pytest.approx([2 / 3, 1, 1, 1])
    assert overlap_at_k(truth, found, 1).tolist() == [0, 0, 0, 1]


def test_distances_are_mean_absolute_changes_of_similarity() -> None:
    full, short = vectors(20), vectors(20)[:, :4]
    for metric in ("cosine", "dot", "l2"):
        change = np.abs(similarities(full, full, metric) - similarities(short, short, metric))
        expected = [np.delete(change[i], i).mean() for i in range(20)]
        np.testing.assert_allclose(pairwise_distance(full, short, metric), expected, rtol=1e-4, atol=1e-6)
    truth = np.array([[0.9, 0.5, -np.inf]], np.float32)
    assert topk_distance(truth, np.array([[0.8, 0.2, 7]], np.float32)) == pytest.approx([0.2])


def test_evidence_of_pca_as_adaptor_equals_pca_and_full_width_is_perfect() -> None:
    e = vectors(400)
    pca = rotation(moments(e, "cosine"))
    about = {
        "input_dim": 10,
        "dims": [3, 10],
        "metric": "cosine",
        "architecture": "linear",
        "unit_input": False,
        "recipe": {},
        "settings": {},
    }
    fitted = build(about, {"linear": pca}, pca)
    found = {(r["method"], r["dim"], r["metric"]): r for r in evidence(fitted, e[:50], e[50:])}
    records = {key: record["value"] for key, record in found.items()}
    for metric in ("overlap@10", "overlap@100", "pairwise_distance", "topk_distance"):
        assert records["adaptor", 3, metric] == pytest.approx(records["pca", 3, metric], abs=1e-6)
        perfect = 1.0 if metric.startswith("overlap") else 0.0
        assert records["truncation", 10, metric] == pytest.approx(perfect, abs=1e-5)
    # independent: truncation's overlap by sorting cosines
    unit = unit_rows(e)
    full = np.argsort(-(unit[:50] @ unit[50:].T), axis=1)[:, :10]
    cut = unit_rows(e[:, :3])
    near = np.argsort(-(cut[:50] @ cut[50:].T), axis=1)[:, :10]
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(full, near, strict=True)]
    assert records["truncation", 3, "overlap@10"] == pytest.approx(np.mean(shares), abs=1e-6)
    interval = stats.norm.interval(0.95, np.mean(shares), stats.sem(shares))
    record = found["truncation", 3, "overlap@10"]
    assert (record["ci_low"], record["ci_high"]) == pytest.approx(interval, abs=1e-4)
    assert (record["n"], record["corpus"]) == (50, 350)
    assert shorten(fitted, "truncation", e, 3).shape == (400, 3)


@pytest.mark.parametrize("metric", METRICS)
def test_graded_overlap_is_ndcg_with_gains_of_full_width(metric: Metric) -> None:
    draw = np.random.default_rng(3)
    corpus, asked = (unit_rows(draw.normal(size=(n, 6)).astype(np.float32)) for n in (40, 5))
    exact = similarities(asked.astype(np.float64), corpus.astype(np.float64), metric)
    truth = np.argsort(-exact, axis=1)[:, :4]
    found = np.stack([draw.permutation(40)[:4] for _ in asked])
    scale = [3 / (exact[q, truth[q, 0]] - exact[q, truth[q, -1]]) for q in range(5)]
    expected = [
        sum(np.exp(exact[q, d] * scale[q]) / np.log2(i + 2) for i, d in enumerate(found[q]))
        / sum(np.exp(exact[q, d] * scale[q]) / np.log2(i + 2) for i, d in enumerate(truth[q]))
        for q in range(5)
    ]
    np.testing.assert_allclose(graded_overlap(asked, corpus, truth, found, metric), expected, rtol=1e-4)
    np.testing.assert_array_equal(graded_overlap(asked, corpus, truth, truth, metric), 1)
    several = graded_overlap(asked, corpus, truth, np.stack([found, truth, found]), metric)
    np.testing.assert_allclose(several, np.stack([expected, np.ones(len(asked)), expected]), rtol=1e-4)


def test_graded_overlap_of_many_rankings_with_gaps_scores_each_pair_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(4)
    corpus, asked = (unit_rows(draw.normal(size=(n, 6)).astype(np.float32)) for n in (15, 30))
    truth, *found = np.where(draw.random((6, 30, 5)) < 0.3, -1, draw.integers(0, 15, (6, 30, 5)))
    truth[:, 0] = np.abs(truth[:, 0])  # nobody has no neighbour at all
    pairs: list[int] = []

    def counted(left: Floats, right: Floats, rows: Any, picked: Any, metric: Metric) -> Any:
        pairs.append(len(rows))
        return score_pairs(left, right, rows, picked, metric)

    monkeypatch.setattr("adaptor.quality.score_pairs", counted)
    together = graded_overlap(asked, corpus, truth, np.stack(found), "cosine")
    named = {(q, d) for part in (truth, *found) for q, row in enumerate(part) for d in row if d >= 0}
    assert pairs == [len(named)]
    for number, ranking in enumerate(found):
        for q in range(30):
            alone = graded_overlap(asked[q : q + 1], corpus, truth[q : q + 1], ranking[q : q + 1], "cosine")
            assert together[number, q] == pytest.approx(alone[0], abs=1e-12)
    exact = asked.astype(np.float64) @ corpus.T.astype(np.float64)
    best = np.where(truth >= 0, np.take_along_axis(exact, truth.clip(0), 1), -np.inf)
    near = np.where(found[0] >= 0, np.take_along_axis(exact, found[0].clip(0), 1), -np.inf)
    top, last = best[:, :1], np.where(np.isfinite(best), best, np.inf).min(axis=1, keepdims=True)
    wide = (top - last)[:, 0] > 1e-3
    discount = 1 / np.log2(np.arange(5) + 2)
    gain = [
        np.exp(np.minimum(3 * (part - top) / np.where(top > last, top - last, 1), 0)) @ discount
        for part in (best, near)
    ]
    np.testing.assert_allclose(together[0][wide], np.minimum(gain[1] / gain[0], 1)[wide], rtol=1e-5)


def test_graded_overlap_forgives_a_near_miss_and_heeds_the_order() -> None:
    angles = np.radians([0, 10, 20, 21, 90])
    corpus = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def graded(found: list[int], scale: float = 1) -> float:
        return float(graded_overlap(corpus[:1], corpus * scale, np.array([[0, 1, 2]]), np.array([found]), "dot")[0])

    assert 0.95 < graded([0, 1, 3]) < 1
    assert graded([0, 1, 4]) == pytest.approx(graded([0, 1, -1]), abs=1e-6)
    assert graded([0, 1, 4]) < graded([0, 1, 3])
    assert graded([2, 1, 0]) < graded([1, 0, 2]) < graded([0, 2, 1]) < graded([0, 1, 2]) == 1
    assert graded([2, 1, 4]) == pytest.approx(graded([2, 1, 4], scale=1000))


def test_graded_overlap_of_neighbours_that_are_all_the_same() -> None:
    corpus = np.repeat(np.array([[1, 0], [0, 1]], np.float32), 3, axis=0)
    truth = np.array([[0, 1, 2]])
    for found, share in (([2, 0, 1], 1.0), ([2, 3, 4], 1 / np.sum(1 / np.log2([2, 3, 4])))):
        assert graded_overlap(corpus[:1], corpus, truth, np.array([found]), "cosine") == pytest.approx([share])
    assert graded_overlap(corpus[:1] * 0, corpus, truth, truth, "dot").tolist() == [1]
    nobody = np.full((1, 3), -1)
    assert graded_overlap(corpus[:1], corpus, nobody, nobody, "cosine").tolist() == [1]
    draw = np.random.default_rng(0)
    row = draw.normal(size=(1, 1500))
    alike = unit_rows((row * draw.uniform(0.1, 9, (40, 1))).astype(np.float32))  # equal but for rounding
    others = np.arange(20, 30)[None]
    assert graded_overlap(alike[:1], alike, np.arange(10)[None], others, "cosine") == pytest.approx([1], abs=0.02)
    far = np.concatenate([corpus[:1], corpus])
    assert graded_overlap(far[:1], far, truth, np.array([[0, 1, 6]]), "l2") == pytest.approx(
        [1.6309 / 2.1309], abs=1e-3
    )
