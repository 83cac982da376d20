"""What a trained rotation becomes: trained widths are kept to the bit of a tie, lost ones give way, luck is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adaptor.losses import prefix_similarities
from adaptor.model import Form, Linear, Orthogonal, Residual, new_form
from adaptor.neighbours import top_k
from adaptor.pca import moments, rotation
from adaptor.rows import unit_rows
from adaptor.selection import _lost, drawn_back, in_order, settle
from adaptor.settings import Metric, ModelSettings
from adaptor.training_set import TrainingSet, hold_out, started

DIM, WIDTHS = 24, (4, 8, 16, 24)


def training_set(rows: int = 600, seed: int = 0) -> TrainingSet:
    """Clusters on a falling spectrum."""
    draw = np.random.default_rng(seed)
    spectrum = np.geomspace(1, 0.05, DIM)
    centres = draw.normal(size=(rows // 10, DIM)) * spectrum
    vectors = unit_rows(
        (centres[draw.integers(0, len(centres), rows)] + 0.4 * draw.normal(size=(rows, DIM)) * spectrum).astype(
            np.float32
        )
    )
    start = rotation(moments(vectors, "cosine"))
    training, held = hold_out(rows, 0.25, seed)
    corpus, held_out = (started(vectors[part], start, 1.0, "cosine") for part in (training, held))
    numbers = np.arange(len(corpus))
    mined = top_k(corpus, corpus, numbers, 5, "cosine", numbers).ids
    truth = top_k(held_out, corpus, numbers, 10, "cosine").ids
    return TrainingSet(corpus, len(corpus), mined, held_out, truth, len(corpus))


def turned(leading: int, strength: float, seed: int = 1) -> Orthogonal:
    form = Orthogonal(leading)
    with torch.no_grad():
        form.generator.normal_(std=strength, generator=torch.Generator().manual_seed(seed))
    return form


def similarities(form: Form, rows: Any, widths: tuple[int, ...] = WIDTHS) -> Any:
    z = torch.from_numpy(rows)
    with torch.no_grad():
        adapted = form(z)
    whole = torch.cat([adapted, z[:, adapted.shape[1] :]], 1)
    return prefix_similarities(whole, whole, widths, "cosine").numpy()


@pytest.mark.parametrize("form", [turned(16, 0.5), Linear(DIM, torch.randn(DIM, DIM) + 2 * torch.eye(DIM))])
def test_order_changes_no_trained_width_and_sorts_the_columns_between(form: Form) -> None:
    data = training_set()
    ordered = in_order(form, data, WIDTHS)
    np.testing.assert_allclose(similarities(ordered, data.corpus), similarities(form, data.corpus), atol=2e-5)
    with torch.no_grad():
        energy = ordered(torch.from_numpy(data.corpus)).square().mean(0).numpy()
    for first, last in ((0, 4), (4, 8), (8, 16)):
        assert (np.diff(energy[first:last]) <= 1e-6).all()


def test_drawn_back_is_a_rotation_that_keeps_the_first_columns_direction() -> None:
    form = turned(16, 0.2)
    back = drawn_back(form, 8)
    matrix = back.exact().numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-12)
    before = form.exact().numpy()[:8, 0]
    np.testing.assert_allclose(matrix[:, 0], before / np.linalg.norm(before), atol=1e-12)
    rows = training_set().corpus
    start = similarities(Orthogonal(2), rows)
    np.testing.assert_allclose(similarities(back, rows)[1:], start[1:], atol=1e-5)  # widths 8, 16, 24


def test_a_rotation_that_only_loses_is_replaced_by_its_start() -> None:
    data = training_set()
    settled = settle(turned(16, 0.3), data, WIDTHS, "cosine")
    assert "its start is kept" in settled.held_back[-1]
    np.testing.assert_allclose(
        similarities(settled.form, data.corpus), similarities(Orthogonal(2), data.corpus), atol=1e-5
    )


def test_a_width_that_lost_gives_way_and_the_others_keep_what_they_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    data, form = training_set(), turned(16, 0.2)
    gains = {4: 0.05, 8: -0.05}

    def judged(form: Form, data: TrainingSet, widths: tuple[int, ...], metric: str) -> Any:
        """Held-out rows as the test wants them: the start scores 0."""
        untouched = isinstance(form, Orthogonal) and not form.generator.any() and form.base is None
        noise = np.random.default_rng(0).normal(scale=0.01, size=(len(widths), 100))
        scores = noise * 0 if untouched else noise + np.array([gains[w] for w in widths])[:, None]
        return np.stack([scores, scores * 0])

    gains[4] = 0.2
    monkeypatch.setattr("adaptor.selection.judge_widths", judged)
    settled = settle(form, data, WIDTHS, "cosine")
    assert isinstance(settled.form, Orthogonal)
    assert settled.form.leading == 8
    assert [note[:7] for note in settled.held_back] == ["width 8"]
    ours, before, start = (similarities(f, data.corpus) for f in (settled.form, form, Orthogonal(2)))
    np.testing.assert_allclose(ours[1:], start[1:], atol=1e-5)
    assert np.abs(ours[0] - start[0]).max() > 0.05  # width 4 is still turned
    assert np.abs(ours[0] - before[0]).mean() < np.abs(start[0] - before[0]).mean()


@pytest.mark.parametrize(
    ("graded", "plain", "metric", "lost"),
    [
        (-0.03, 0.0, "cosine", "width 4 lost 0.030 graded overlap@10"),
        (-0.003, 0.0, "cosine", None),
        (0.03, -0.04, "dot", "width 4 lost 0.040 overlap@10"),
        (0.03, -0.04, "l2", "width 4 lost 0.040 overlap@10"),
        (0.03, -0.04, "cosine", None),
        (0.03, -0.08, "cosine", "width 4 lost 0.080 overlap@10"),
        (0.03, -0.015, "dot", None),  # some of the tenth neighbour for the first
    ],
)
def test_what_a_width_may_lose_of_each_measure(graded: float, plain: float, metric: Metric, lost: str | None) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=(2, 2, 400))
    noise -= noise.mean(axis=2, keepdims=True)
    found = _lost((2, 4), noise + np.array([[0.1, graded], [0.1, plain]])[:, :, None], metric)
    assert found == (None if lost is None else (4, lost))


def test_the_papers_perceptron_and_an_untrained_rotation_come_back_as_they_are() -> None:
    data, mlp = training_set(), Residual(DIM, 5)
    assert settle(mlp, data, WIDTHS, "cosine").form is mlp
    same = settle(Orthogonal(2), data, WIDTHS, "cosine")  # no trained width is free
    assert same.held_back == ()


def test_settling_twice_gives_the_same_bytes() -> None:
    data, form = training_set(), turned(16, 0.1)
    first, second = (in_order(form, data, WIDTHS) for _ in range(2))
    assert isinstance(first, Orthogonal)
    assert isinstance(second, Orthogonal)
    assert first.exact().numpy().tobytes() == second.exact().numpy().tobytes()


@pytest.mark.parametrize(
    ("dim", "rows", "leading"),
    [
        (384, None, 128),
        (384, 4_665, 128),
        (384, 2_000, 64),
        (384, 100, 16),
        (64, None, 32),
        (100, None, 64),
        (768, 90_000, 256),
        (1536, 90_000, 512),
        (3072, 90_000, 512),  # a step inverts a matrix of that size
        (4096, 6_500, 256),
        (10, None, 10),
    ],
)
def test_an_automatic_block_is_a_third_of_the_dimension_if_the_rows_allow(
    dim: int, rows: int | None, leading: int
) -> None:
    form = new_form(ModelSettings(), dim, 0, rows)
    assert isinstance(form, Orthogonal)
    assert form.leading == leading
