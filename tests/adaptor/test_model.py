"""The architectures: where they start, what they keep, and that folding them changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adaptor.artefact import build
from adaptor.errors import InputError
from adaptor.model import AdaptorModule, Linear, fold, new_model, of_all_coordinates
from adaptor.pca import InitialBasis
from adaptor.rows import unit_rows
from adaptor.settings import ModelSettings
from adaptor.torch_transform import on_device

DIM = 20


def random_rotation(seed: int = 0) -> Any:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(DIM, DIM)))[0].astype(np.float32)


def trained(kind: str) -> AdaptorModule:
    """A module with weights as after some training."""
    module = new_model(ModelSettings.model_validate({"architecture": kind, "hidden_units": 7}), DIM, seed=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return module


def artefact(module: AdaptorModule, start: Any, metric: str = "cosine", scale: float = 1.0) -> Any:
    kind = type(module).__name__.lower().replace("residual", "mlp")
    about = {
        "input_dim": DIM,
        "dims": [4, DIM],
        "metric": metric,
        "architecture": kind,
        "unit_input": True,
        "recipe": {},
        "settings": {},
    }
    basis = InitialBasis(start, scale, "cosine" if metric == "cosine" else "dot")
    return build(about, fold(module, basis), start)


def rows(count: int = 50) -> Any:
    return np.random.default_rng(7).normal(size=(count, DIM)).astype(np.float32)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_an_untrained_module_is_the_identity(kind: str) -> None:
    z = torch.from_numpy(rows())
    module = new_model(ModelSettings.model_validate({"architecture": kind}), DIM, seed=0)
    out = module(z)
    assert torch.allclose(out, z[:, : out.shape[1]], atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_first_columns_alone_are_those_of_all(kind: str) -> None:
    module, z = trained(kind), torch.from_numpy(rows())
    torch.testing.assert_close(module(z, 5), module(z)[:, :5], rtol=1e-5, atol=1e-5)


def test_the_seed_decides_the_perceptron_and_leaves_torchs_own_seed_alone() -> None:
    settings = ModelSettings(architecture="mlp", hidden_units=5)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (new_model(settings, DIM, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first["inner.weight"], again["inner.weight"])
    assert not torch.equal(first["inner.weight"], other["inner.weight"])


def test_a_matrix_works_on_the_leading_coordinates_of_very_wide_vectors() -> None:
    module = new_model(ModelSettings(), 800, 0)
    assert isinstance(module, Linear)
    assert module.matrix.shape == (768, 768)
    with torch.no_grad():
        module.matrix.mul_(2)
    wide, z = of_all_coordinates(module, 800), torch.randn(3, 800)
    torch.testing.assert_close(wide(z), torch.cat([2 * z[:, :768], z[:, 768:]], 1))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_with_all_coordinates_it_starts_where_the_stage_before_ended(kind: str) -> None:
    z = torch.from_numpy(rows())
    module = trained(kind)
    before, after = module(z), of_all_coordinates(module, DIM)(z)
    assert torch.allclose(before, after[:, : before.shape[1]], atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("dim", [1, 5, 8, DIM])
def test_folded_equals_the_module_in_numpy_and_in_torch(kind: str, metric: str, dim: int) -> None:
    start, e, scale = random_rotation(), rows(), 1.0 if metric == "cosine" else 2.5
    module = trained(kind)
    z = torch.from_numpy((unit_rows(e) if metric == "cosine" else e / np.float32(scale)) @ start)
    with torch.no_grad():
        out = module(z)
    expected = torch.cat([out, z[:, out.shape[1] :]], dim=1)[:, :dim].double().numpy() * scale
    if metric == "cosine":
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    fitted = artefact(module, start, metric, scale)
    np.testing.assert_allclose(fitted.transform(e, dim=dim), expected, atol=1e-5)
    np.testing.assert_allclose(on_device(fitted.projection(dim), "cpu")(e), fitted.transform(e, dim=dim), atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_with_cosine_the_length_of_a_row_does_not_matter_whatever_stands_beside_it(kind: str) -> None:
    fitted, e = artefact(trained(kind), random_rotation()), rows(9)
    lengths = np.array([1, 1e-18, 1e-6, 1e-3, 30, 999, 1e4, 1e9, 1e18], np.float32)[:, None]
    scaled = fitted.transform(unit_rows(e) * lengths, dim=5)
    np.testing.assert_allclose(scaled, fitted.transform(e, dim=5), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(scaled.astype(np.float64), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_squared_lengths_that_are_known_change_nothing(kind: str, metric: str) -> None:
    fitted, e = artefact(trained(kind), random_rotation(), metric), rows(5000)
    e[[3, 4700]] *= np.float32(1e-9)
    e[4600] *= np.float32(1e9)
    squares = np.einsum("nd,nd->n", e, e)
    np.testing.assert_array_equal(fitted.transform_rows(e, dim=5, squares=squares), fitted.transform(e, dim=5))
    e[4800, 2], squares[4800] = np.nan, np.nan
    with pytest.raises(InputError, match="row 4800 holds NaN"):
        fitted.transform_rows(e, dim=5, squares=squares)


def test_a_free_matrix_starts_as_a_copy_of_the_given_one_or_at_the_identity() -> None:
    given = torch.randn(3, 3, dtype=torch.float64)
    module = Linear(3, given)
    with torch.no_grad():
        module.matrix.add_(1)
    assert torch.equal(module.matrix, given + 1)
    assert torch.equal(Linear(3).matrix, torch.eye(3))
    assert Linear(3, given.to("meta")).matrix.device.type == "meta"  # as a GPU would be
