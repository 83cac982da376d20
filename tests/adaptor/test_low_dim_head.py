"""The map that narrow outputs have to themselves: which widths it serves, and how wide outputs become narrow ones."""

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

DIM, BLOCK, NARROW = 12, 8, 5
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def tensors(seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    turn = np.linalg.qr(draw.normal(size=(DIM, DIM)))[0]
    return {"linear": turn.astype(np.float32), "narrow": draw.normal(size=(BLOCK, NARROW)).astype(np.float32)}


def example(metric: Metric = "cosine", form: str = "orthogonal", **changed: Any) -> Adaptor:
    about = {"dim": DIM, "widths": [4, DIM], "metric": metric, "form": form, "unit_input": True}
    return build({**about, "recipe": {}, "settings": {}}, {**tensors(), **changed}, np.eye(DIM, dtype=np.float32))


def rows(count: int = 50) -> Any:
    return np.random.default_rng(1).normal(size=(count, DIM)).astype(np.float32)


def oracle(metric: Metric, width: int) -> Any:
    """In float64, in the order in which the documentation has it."""
    linear, narrow = (tensors()[name].astype(np.float64) for name in ("linear", "narrow"))
    wide = rows().astype(np.float64) @ linear
    short = (wide[:, :BLOCK] @ narrow)[:, :width] if width <= NARROW else wide[:, :width]
    return short / np.linalg.norm(short, axis=1, keepdims=True) if metric == "cosine" else short


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("width", range(1, DIM + 1))
def test_every_width_is_what_the_formula_says(metric: Metric, width: int) -> None:
    adaptor = example(metric)
    np.testing.assert_allclose(adaptor.transform(rows(), width), oracle(metric, width), atol=2e-6)
    np.testing.assert_allclose(on_device(adaptor, width, "cpu")(rows()), oracle(metric, width), atol=2e-6)


@given(given_width=st.integers(1, DIM), width=st.integers(1, DIM), metric=st.sampled_from(METRICS))
def test_cut_is_transform_of_the_originals_or_a_refusal(given_width: int, width: int, metric: Metric) -> None:
    adaptor = example(metric)
    adapted = adaptor.transform(rows(), given_width)
    possible = width <= given_width and (
        given_width <= NARROW or width > NARROW or given_width >= BLOCK  # one family, or all that narrow is made of
    )
    if possible:
        np.testing.assert_allclose(adaptor.cut(adapted, width), adaptor.transform(rows(), width), atol=2e-5)
    else:
        with pytest.raises(InputError, match=f"{given_width} columns cannot be cut to {width}"):
            adaptor.cut(adapted, width)


@pytest.mark.parametrize("shape", [(4,), (3, DIM + 1), (2, 2, 2)])
def test_what_no_transform_gave_cannot_be_cut(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"this adaptor gives \(n, 1 to 12\)"):
        example().cut(np.ones(shape, np.float32), 1)


def test_cut_without_a_narrow_map_is_the_prefix() -> None:
    about = {"dim": DIM, "widths": [DIM], "metric": "cosine", "form": "linear", "unit_input": True}
    plain = build({**about, "recipe": {}, "settings": {}}, {"linear": tensors()["linear"]}, tensors()["linear"])
    wide = plain.transform(rows(), DIM)
    np.testing.assert_array_equal(plain.cut(wide, 3), unit_rows(wide[:, :3]))


@pytest.mark.parametrize(
    "narrow",
    [np.ones(5), np.ones((3, 5)), np.ones((13, 5)), np.ones((8, 0)), np.ones((2, 2, 2))],
)
def test_a_narrow_map_of_an_impossible_shape_is_refused(narrow: Any) -> None:
    made = example(narrow=narrow.astype(np.float32))
    with pytest.raises(InputError, match=r"narrow is float32 .* expected float32 \('b', 'c ≤ b ≤ 12'\)"):
        from_files(made.to_files())


def test_only_the_orthogonal_form_may_have_one() -> None:
    with pytest.raises(InputError, match="do not fit together"):
        from_files(example(form="linear").to_files())


def test_the_id_follows_the_narrow_map() -> None:
    assert example().adaptor_id != example(narrow=tensors(1)["narrow"]).adaptor_id
