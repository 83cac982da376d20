"""What a trained rotation becomes: trained dims are kept to the bit of a tie, lost ones give way, luck is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adaptor.losses import prefix_similarities
from adaptor.model import AdaptorModule, Linear, Orthogonal, Residual, new_model
from adaptor.neighbours import top_k
from adaptor.pca import InitialBasis, moments, rotation
from adaptor.rows import unit_rows
from adaptor.selection import Selection, _first_loss, _Loss, restricted, select, sorted_by_variance
from adaptor.settings import LossSettings, Metric, ModelSettings, TrainingSettings
from adaptor.training_job import TrainingJob
from adaptor.training_set import TrainingSet, hold_out

DIM, DIMS = 24, (4, 8, 16, 24)


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
    basis = InitialBasis(rotation(moments(vectors, "cosine")), 1.0, "cosine")
    corpus, held_out = (basis.transform(vectors[part]) for part in hold_out(rows, 0.25, seed))
    numbers = np.arange(len(corpus))
    return TrainingSet(
        corpus=corpus,
        anchors=len(corpus),
        neighbours=top_k(corpus, corpus, numbers, 5, "cosine", numbers).ids,
        held_out=held_out,
        truth=top_k(held_out, corpus, numbers, 10, "cosine").ids,
        searched=len(corpus),
    )


def selected(module: AdaptorModule, data: TrainingSet) -> Selection:
    job = TrainingJob(
        data=data,
        model=ModelSettings(),
        loss=LossSettings(),
        training=TrainingSettings(),
        metric="cosine",
        dims=DIMS,
    )
    return select(module, job)


def rotated(trained_components: int, strength: float, seed: int = 1) -> Orthogonal:
    module = Orthogonal(trained_components)
    with torch.no_grad():
        module.generator.normal_(std=strength, generator=torch.Generator().manual_seed(seed))
    return module


def similarities(module: AdaptorModule, rows: Any, dims: tuple[int, ...] = DIMS) -> Any:
    z = torch.from_numpy(rows)
    with torch.no_grad():
        adapted = module(z)
    whole = torch.cat([adapted, z[:, adapted.shape[1] :]], 1)
    return prefix_similarities(whole, whole, dims, "cosine").numpy()


@pytest.mark.parametrize("module", [rotated(16, 0.5), Linear(DIM, torch.randn(DIM, DIM) + 2 * torch.eye(DIM))])
def test_order_changes_no_trained_dim_and_sorts_the_columns_between(module: AdaptorModule) -> None:
    data = training_set()
    ordered = sorted_by_variance(module, data, DIMS)
    np.testing.assert_allclose(similarities(ordered, data.corpus), similarities(module, data.corpus), atol=2e-5)
    with torch.no_grad():
        energy = ordered(torch.from_numpy(data.corpus)).square().mean(0).numpy()
    for first, last in ((0, 4), (4, 8), (8, 16)):
        assert (np.diff(energy[first:last]) <= 1e-6).all()


def test_restricted_is_a_rotation_that_keeps_the_first_columns_direction() -> None:
    module = rotated(16, 0.2)
    back = restricted(module, 8)
    matrix = back.exact().numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-12)
    before = module.exact().numpy()[:8, 0]
    np.testing.assert_allclose(matrix[:, 0], before / np.linalg.norm(before), atol=1e-12)
    rows = training_set().corpus
    start = similarities(Orthogonal(2), rows)
    np.testing.assert_allclose(similarities(back, rows)[1:], start[1:], atol=1e-5)  # dims 8, 16, 24


def test_a_rotation_that_only_loses_is_replaced_by_its_start() -> None:
    data = training_set()
    selection = selected(rotated(16, 0.3), data)
    assert "its start is kept" in selection.fallback_notes[-1]
    np.testing.assert_allclose(
        similarities(selection.module, data.corpus), similarities(Orthogonal(2), data.corpus), atol=1e-5
    )


def test_a_dim_that_lost_gives_way_and_the_others_keep_what_they_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    data, module = training_set(), rotated(16, 0.2)
    gains = {4: 0.05, 8: -0.05}

    def judged(module: AdaptorModule, data: TrainingSet, dims: tuple[int, ...], metric: str) -> Any:
        """Held-out rows as the test wants them: the start scores 0."""
        untouched = isinstance(module, Orthogonal) and not module.generator.any() and module.base is None
        noise = np.random.default_rng(0).normal(scale=0.01, size=(len(dims), 100))
        scores = noise * 0 if untouched else noise + np.array([gains[w] for w in dims])[:, None]
        return np.stack([scores, scores * 0])

    gains[4] = 0.2
    monkeypatch.setattr("adaptor.selection.validate_dims", judged)
    selection = selected(module, data)
    assert isinstance(selection.module, Orthogonal)
    assert selection.module.trained_components == 8
    assert [note[:5] for note in selection.fallback_notes] == ["dim 8"]
    ours, before, start = (similarities(f, data.corpus) for f in (selection.module, module, Orthogonal(2)))
    np.testing.assert_allclose(ours[1:], start[1:], atol=1e-5)
    assert np.abs(ours[0] - start[0]).max() > 0.05  # dim 4 is still rotated
    assert np.abs(ours[0] - before[0]).mean() < np.abs(start[0] - before[0]).mean()


@pytest.mark.parametrize(
    ("graded", "plain", "metric", "lost"),
    [
        (-0.03, 0.0, "cosine", "dim 4 lost 0.030 graded overlap@10"),
        (-0.003, 0.0, "cosine", None),
        (0.03, -0.04, "dot", "dim 4 lost 0.040 overlap@10"),
        (0.03, -0.04, "l2", "dim 4 lost 0.040 overlap@10"),
        (0.03, -0.04, "cosine", None),
        (0.03, -0.08, "cosine", "dim 4 lost 0.080 overlap@10"),
        (0.03, -0.015, "dot", None),  # some of the tenth neighbour for the first
    ],
)
def test_what_a_dim_may_lose_of_each_measure(graded: float, plain: float, metric: Metric, lost: str | None) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=(2, 2, 400))
    noise -= noise.mean(axis=2, keepdims=True)
    loss = _first_loss((2, 4), noise + np.array([[0.1, graded], [0.1, plain]])[:, :, None], metric)
    assert loss == (None if lost is None else _Loss(4, lost))


def test_the_papers_perceptron_and_an_untrained_rotation_come_back_as_they_are() -> None:
    data, mlp = training_set(), Residual(DIM, 5)
    assert selected(mlp, data).module is mlp
    same = selected(Orthogonal(2), data)  # no trained dim is free
    assert same.fallback_notes == ()


def test_sorting_twice_gives_the_same_bytes() -> None:
    data, module = training_set(), rotated(16, 0.1)
    first, second = (sorted_by_variance(module, data, DIMS) for _ in range(2))
    assert isinstance(first, Orthogonal)
    assert isinstance(second, Orthogonal)
    assert first.exact().numpy().tobytes() == second.exact().numpy().tobytes()


@pytest.mark.parametrize(
    ("dim", "rows", "trained_components"),
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
def test_automatic_components_are_a_third_of_the_dimension_if_the_rows_allow(
    dim: int, rows: int | None, trained_components: int
) -> None:
    module = new_model(ModelSettings(), dim, 0, rows)
    assert isinstance(module, Orthogonal)
    assert module.trained_components == trained_components
