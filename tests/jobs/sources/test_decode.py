"""decode() against a slow implementation in plain Python, on every type, layout and kind of bad row."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.errors import InputError
from jobs.sources.vectors import decode, widened

_FLOATS = {"halffloat": pa.float16(), "float": pa.float32(), "double": pa.float64()}
_Row = list[float | None] | None


def _expected(rows: list[_Row], dim: int | None) -> tuple[list[list[float]], dict[int, str]]:
    """The definition: first reason that holds; numbers as float32; bad rows are zeros."""
    if dim is None:
        lengths = Counter(len(row) for row in rows if row is not None)
        dim = min(lengths, key=lambda length: (-lengths[length], length), default=0)
    vectors, reasons = [], {}
    for index, row in enumerate(rows):
        reason = _reason(row, dim)
        if reason is None:
            assert row is not None
            vectors.append([_float32(value) for value in row])
        else:
            reasons[index] = reason
            vectors.append([0.0] * dim)
    return vectors, reasons


def _reason(row: _Row, dim: int) -> str | None:
    if row is None:
        return "null vector"
    if len(row) != dim or not row:
        return f"wrong length {len(row)} (expected {dim or 'at least 1'})"
    if any(value is None for value in row):
        return "null element"
    numbers = [_float32(value) for value in row]
    if any(math.isnan(number) for number in numbers):
        return "NaN"
    if any(math.isinf(number) for number in numbers):
        return "infinite"
    return None if any(number != 0 for number in numbers) else "zero vector"


def _float32(value: float | None) -> float:
    assert value is not None
    with np.errstate(over="ignore"):
        return float(np.float32(value))


@st.composite
def _columns(draw: st.DrawFn) -> tuple[pa.Array, list[_Row]]:
    """A column of any layout, and its rows; possibly a slice out of the middle of a larger one."""
    kind = _FLOATS[draw(st.sampled_from(sorted(_FLOATS)))]
    special = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 3e38, 6e4]
    special += [1e300, 3.5e38, 1e-300] if kind == pa.float64() else []
    number = st.one_of(st.floats(-2, 2, width=16), st.floats(-2, 2, width=16), st.sampled_from(special))
    if kind == pa.float16():
        number = number.map(lambda value: value if value is None or abs(value) < 6.5e4 else math.inf)
    layout = draw(st.sampled_from(["list", "large_list", "fixed_size_list"]))
    size = draw(st.integers(0 if layout != "fixed_size_list" else 1, 5))
    length = st.just(size) if layout == "fixed_size_list" else st.sampled_from([size, size, size, 0, size + 1])
    good = st.lists(st.floats(0.5, 1, width=16), min_size=size, max_size=size)
    row = st.one_of(st.none(), good, good, length.flatmap(lambda n: st.lists(number, min_size=n, max_size=n)))
    rows: list[Any] = draw(st.lists(row, max_size=12))
    made = {
        "list": pa.list_(kind),
        "large_list": pa.large_list(kind),
        "fixed_size_list": pa.list_(kind, size),
    }[layout]
    values = [None if row is None else [None if x is None else _as(kind, x) for x in row] for row in rows]
    start = draw(st.integers(0, len(rows)))
    stop = draw(st.integers(start, len(rows)))
    column = pa.array(values, type=made).slice(start, stop - start)
    return column, column.to_pylist()


def _as(kind: pa.DataType, value: float) -> Any:
    with np.errstate(over="ignore"):
        return np.float16(value) if kind == pa.float16() else value


@given(_columns(), st.sampled_from(["None", "the usual", 3]))
@settings(max_examples=600, deadline=None)
def test_decode_is_its_definition(made: tuple[pa.Array, list[_Row]], which: str | int) -> None:
    column, rows = made
    dim = which if isinstance(which, int) else None
    if which == "the usual" and rows:
        dim = max((len(row) for row in rows if row), default=2)
    before = column.to_pylist()
    found = decode(column, dim)
    vectors, reasons = _expected(rows, dim)
    assert found.reasons == reasons
    assert found.vectors.dtype == np.float32
    assert found.vectors.shape == (len(rows), len(vectors[0]) if vectors else found.vectors.shape[1])
    np.testing.assert_array_equal(found.vectors, np.array(vectors, dtype=np.float32).reshape(found.vectors.shape))
    assert str(column.to_pylist()) == str(before)  # the column itself is never written to


def test_good_float32_is_not_copied() -> None:
    flat = pa.array(np.arange(1, 13, dtype=np.float32))
    column = pa.FixedSizeListArray.from_arrays(flat, 3).slice(1, 2)
    found = decode(column, 3)
    assert np.shares_memory(found.vectors, flat.to_numpy())
    assert not found.vectors.flags.writeable
    np.testing.assert_array_equal(found.vectors, [[4, 5, 6], [7, 8, 9]])


def test_chunks_and_tensor_columns() -> None:
    chunked = pa.chunked_array([[[1.0, 2.0]], [[3.0, 4.0], None]], type=pa.list_(pa.float64()))
    assert decode(chunked, None).vectors.tolist() == [[1, 2], [3, 4], [0, 0]]
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 3), dtype=np.float32))
    assert decode(tensor, 3).vectors.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_what_stands_under_a_null_does_not_matter() -> None:
    flat = pa.array([1.0, 2.0, math.nan, math.inf, 5.0, 6.0])
    mask = pa.array([False, True, False])
    fixed = pa.FixedSizeListArray.from_arrays(flat, 2, mask=mask)
    assert decode(fixed, 2).reasons == {1: "null vector"}
    ragged = pa.ListArray.from_arrays(pa.array([0, 2, 4, 6], pa.int32()), flat, mask=mask)
    assert decode(ragged, 2).vectors.tolist() == [[1, 2], [0, 0], [5, 6]]


def test_large_finite_numbers_and_cancelling_sums_are_good() -> None:
    column = pa.array([[3e38, 3e38], [1.0, -1.0], [-0.0, 0.0]], type=pa.list_(pa.float32()))
    assert decode(column, 2).reasons == {2: "zero vector"}


@pytest.mark.parametrize("column", [pa.array([b"x"]), pa.array([[1]]), pa.array([[[1.0]]])])
def test_other_types_are_refused(column: pa.Array) -> None:
    with pytest.raises(InputError, match="vectors are of type"):
        decode(column, 2)


def test_every_half_is_widened_to_the_same_number() -> None:
    float16 = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = float16[np.isfinite(float16)]
    for some in (float16, finite, finite[:7], finite[:0]):
        wide = widened(some.reshape(1, -1))
        assert wide.dtype == np.float32
        np.testing.assert_array_equal(wide[0].view(np.uint32), some.astype(np.float32).view(np.uint32))
