"""The low-dimensional head: which dims it serves, and how wide outputs become narrow ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptor import InputError
from adaptor.artefact import Adaptor, build, from_files
from adaptor.rows import unit_rows
from adaptor.settings import Metric
from adaptor.torch_transform import on_device

DIM, COMPONENTS, HEAD = 12, 8, 5
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def tensors(seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    rotation = np.linalg.qr(draw.normal(size=(DIM, DIM)))[0]
    return {"linear": rotation.astype(np.float32), "head": draw.normal(size=(COMPONENTS, HEAD)).astype(np.float32)}


def example(metric: Metric = "cosine", architecture: str = "orthogonal", **changed: Any) -> Adaptor:
    about = {"input_dim": DIM, "dims": [4, DIM], "metric": metric, "architecture": architecture, "unit_input": True}
    return build({**about, "recipe": {}, "settings": {}}, {**tensors(), **changed}, np.eye(DIM, dtype=np.float32))


def rows(count: int = 50) -> Any:
    return np.random.default_rng(1).normal(size=(count, DIM)).astype(np.float32)


def oracle(metric: Metric, dim: int) -> Any:
    """In float64, in the order in which the documentation has it."""
    linear, head = (tensors()[name].astype(np.float64) for name in ("linear", "head"))
    wide = rows().astype(np.float64) @ linear
    short = (wide[:, :COMPONENTS] @ head)[:, :dim] if dim <= HEAD else wide[:, :dim]
    return short / np.linalg.norm(short, axis=1, keepdims=True) if metric == "cosine" else short


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", range(1, DIM + 1))
def test_every_dim_is_what_the_formula_says(metric: Metric, dim: int) -> None:
    adaptor = example(metric)
    np.testing.assert_allclose(adaptor.transform(rows(), dim=dim), oracle(metric, dim), atol=2e-6)
    np.testing.assert_allclose(on_device(adaptor.projection(dim), "cpu")(rows()), oracle(metric, dim), atol=2e-6)


@given(columns=st.integers(1, DIM), dim=st.integers(1, DIM), metric=st.sampled_from(METRICS))
def test_truncate_is_transform_of_the_originals_or_a_refusal(columns: int, dim: int, metric: Metric) -> None:
    adaptor = example(metric)
    adapted = adaptor.transform(rows(), dim=columns)
    possible = dim <= columns and (
        columns <= HEAD or dim > HEAD or columns >= COMPONENTS  # one family, or all that head is made of
    )
    if possible:
        short = adaptor.truncate(adapted, dim=dim)
        np.testing.assert_allclose(short, adaptor.transform(rows(), dim=dim), atol=2e-5)
        np.testing.assert_allclose(adaptor.truncate(adapted[0].tolist(), dim=dim), short[0], atol=1e-6)
    else:
        with pytest.raises(InputError, match=f"{columns} columns cannot be truncated to {dim}"):
            adaptor.truncate(adapted, dim=dim)


@pytest.mark.parametrize("shape", [(), (DIM + 1,), (3, DIM + 1), (2, 2, 2)])
def test_what_no_transform_gave_cannot_be_truncated(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"this adaptor gives \(n, 1 to 12\)"):
        example().truncate(np.ones(shape, np.float32), dim=1)


def test_truncate_without_a_head_is_the_prefix() -> None:
    about = {"input_dim": DIM, "dims": [DIM], "metric": "cosine", "architecture": "linear", "unit_input": True}
    plain = build({**about, "recipe": {}, "settings": {}}, {"linear": tensors()["linear"]}, tensors()["linear"])
    wide = plain.transform(rows(), dim=DIM)
    np.testing.assert_array_equal(plain.truncate(wide, dim=3), unit_rows(wide[:, :3]))


@pytest.mark.parametrize(
    "head",
    [np.ones(5), np.ones((3, 5)), np.ones((13, 5)), np.ones((8, 0)), np.ones((2, 2, 2))],
)
def test_a_head_of_an_impossible_shape_is_refused(head: Any) -> None:
    made = example(head=head.astype(np.float32))
    with pytest.raises(InputError, match=r"head is float32 .* expected float32 \('b', 'c ≤ b ≤ 12'\)"):
        from_files(made.to_files())


def test_only_the_orthogonal_architecture_may_have_one() -> None:
    with pytest.raises(InputError, match="do not fit together"):
        from_files(example(architecture="linear").to_files())


def test_the_id_follows_the_head() -> None:
    assert example().adaptor_id != example(head=tensors(1)["head"]).adaptor_id
