"""Every way to compare stored codes finds what its definition finds, written out for integers and bits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adaptor.baselines import ADAPTOR, Column
from adaptor.errors import InputError
from adaptor.neighbours import Neighbours, top_k
from adaptor.settings import Metric
from jobs.config.databases import Compared, Held
from jobs.search.columns import Columns, available
from jobs.search.front import pareto_front
from jobs.search.rescoring import rescore, two_stages
from tests.jobs.evaluate.inputs import make_adaptor, with_fitted_codes

DIM = 24
ROWS = np.random.default_rng(0).normal(size=(300, DIM)).astype(np.float32)
ASKED = np.random.default_rng(1).normal(size=(7, DIM)).astype(np.float32)
ADAPTORS = {
    metric: with_fitted_codes(make_adaptor(ROWS, (8, 16, DIM), metric), ROWS) for metric in ("cosine", "dot", "l2")
}


def found(held: Held, metric: Metric = "cosine") -> NDArray[np.int64]:
    """The ten nearest rows by a column of 16 numbers."""
    columns = Columns(ADAPTORS[metric], (16,), ((16, held),))
    column = Column(ADAPTOR, 16, held.name)
    queries, documents = dict(columns.queries(ASKED))[column], dict(columns.documents(ROWS))[column]
    return top_k(queries, documents, np.arange(len(ROWS)), 10, columns.metric(column)).ids


def codes(encoding: str, metric: Metric = "cosine") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes of the queries and of the rows, as whole numbers."""
    codec = ADAPTORS[metric].codec(dim=16, encoding=encoding)
    return codec.encode(ASKED).astype(np.int64), codec.encode(ROWS).astype(np.int64)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_integers_are_compared_with_integers(metric: Metric) -> None:
    asked, stored = codes("int8", metric)
    scores = asked @ stored.T
    if metric == "l2":
        scores = -np.square(asked[:, None] - stored[None]).sum(axis=2)
    exact = scores / np.linalg.norm(stored, axis=1) if metric == "cosine" else scores.astype(float)
    nearest = found(Held("int8", "integers"), metric)
    for row, by_row in zip(nearest, exact, strict=True):
        assert by_row[row].tolist() == pytest.approx(np.sort(by_row)[::-1][:10].tolist(), rel=1e-5)


def test_unsigned_bytes_are_compared_by_euclidean_distance() -> None:
    asked, stored = codes("uint8")
    distances = np.square(asked[:, None] - stored[None]).sum(axis=2)
    for row, by_row in zip(found(Held("uint8", "euclid")), distances, strict=True):
        assert by_row[row].tolist() == np.sort(by_row)[:10].tolist()


def test_signs_are_compared_by_the_bits_that_differ() -> None:
    asked, stored = (np.unpackbits(some.astype(np.uint8), axis=1) for some in codes("binary"))
    differing = (asked[:, None] != stored[None]).sum(axis=2)
    for row, by_row in zip(found(Held("binary", "hamming")), differing, strict=True):
        assert by_row[row].tolist() == np.sort(by_row)[:10].tolist()


def test_a_database_that_rounds_floats_by_itself_scales_each_vector() -> None:
    short = {"queries": ADAPTORS["cosine"].transform(ASKED, dim=16), "rows": ADAPTORS["cosine"].transform(ROWS, dim=16)}
    whole = {name: np.rint(127 * x / np.abs(x).max(axis=1, keepdims=True)) for name, x in short.items()}
    unit = {name: x / np.linalg.norm(x, axis=1, keepdims=True) for name, x in whole.items()}
    cosines = unit["queries"] @ unit["rows"].T
    held = Held("float32", "own_int8")
    for row, by_row in zip(found(held), cosines, strict=True):
        assert by_row[row].tolist() == pytest.approx(np.sort(by_row)[::-1][:10].tolist(), abs=1e-5)
    columns = Columns(ADAPTORS["cosine"], (16,), ((16, held),))
    assert columns.bytes_of(Column(ADAPTOR, 16, "float32 > int8")) == 16 + 4


def test_a_database_that_takes_signs_of_floats_rescores_by_the_same_floats() -> None:
    half, inside = Held("float16"), Held("float16", "own_signs")
    adaptor = ADAPTORS["cosine"]
    asked, rows = (adaptor.transform(vectors, dim=16) > 0 for vectors in (ASKED, ROWS))
    differing = (asked[:, None] != rows[None]).sum(axis=2)
    for row, by_row in zip(found(inside), differing, strict=True):
        assert by_row[row].tolist() == np.sort(by_row)[:10].tolist()
    columns = Columns(adaptor, (16,), ((16, half), (16, inside)))
    column = Column(ADAPTOR, 16, "float16 > signs")
    assert (columns.bytes_of(column), columns.stored[column].searched_bytes) == (2 * 16 + 2, 2)
    (stages,) = two_stages(columns)
    assert (stages.column, stages.second) == (column, Column(ADAPTOR, 16, "float16"))


@pytest.mark.parametrize(("compared", "same"), [("floats", True), ("integers", False)])
def test_only_a_float_query_stays_as_it_is(compared: Compared, same: bool) -> None:
    columns = Columns(ADAPTORS["cosine"], (16,), ((16, Held("int8", compared)),))
    query = dict(columns.queries(ASKED))[Column(ADAPTOR, 16, "int8")]
    assert np.array_equal(query, ADAPTORS["cosine"].codec(dim=16, encoding="int8").transform(ASKED)) == same


def test_kinds_are_left_out_where_the_adaptor_or_the_database_has_none() -> None:
    kinds = [Held("float32"), Held("float16", most_dims=10), Held("int2")]
    coded = available(ADAPTORS["cosine"], (8, 12, 16), kinds)
    assert coded == ((8, kinds[1]), (8, kinds[2]), (16, kinds[2]))
    with pytest.raises(InputError, match="no int2 codes were fitted at dim 12: take one of 8, 16, 24"):
        available(ADAPTORS["cosine"], (12,), kinds[2:])


@given(st.lists(st.permutations(range(20)), min_size=2, max_size=2), st.integers(1, 12))
def test_rescoring_puts_candidates_in_the_order_of_the_better_vectors(orders: list[list[int]], k: int) -> None:
    first, second = (
        Neighbours(np.array([order[:k]]), np.arange(k, 0, -1).astype(np.float32)[None]) for order in orders
    )
    rescored = rescore(first, second).ids[0].tolist()
    assert sorted(rescored) == sorted(orders[0][:k]), "the same candidates"
    shared = [row for row in orders[1][:k] if row in orders[0][:k]]
    assert rescored[: len(shared)] == shared
    assert rescored[len(shared) :] == [row for row in orders[0][:k] if row not in shared]


def test_rescored_places_that_hold_no_row_stay_last() -> None:
    first = Neighbours(np.array([[4, 2, -1, -1]]), np.array([[2, 1, -np.inf, -np.inf]], np.float32))
    second = Neighbours(np.array([[2, 9, -1, -1]]), np.array([[3, 2, -np.inf, -np.inf]], np.float32))
    assert rescore(first, second).ids.tolist() == [[2, 4, -1, -1]]


def test_sign_codes_are_rescored_by_the_floats_that_are_held() -> None:
    signs, half = Held("binary", "hamming"), Held("float16")
    adaptor = ADAPTORS["cosine"]
    pairs = [stages.column.encoding for stages in two_stages(Columns(adaptor, (8, 16), ((8, signs), (16, half))))]
    assert pairs == ["binary > float16 x 16"]
    pairs = [stages.column.encoding for stages in two_stages(Columns(adaptor, (8, 16), ((8, signs),)))]
    assert pairs == ["binary > float32 x 8", "binary > float32 x 16"]
    assert list(two_stages(Columns(adaptor, (8,), ((8, Held("binary")),)))) == []


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1)), min_size=1))
def test_the_front_is_what_nothing_of_as_few_bytes_beats(points: list[tuple[int, float]]) -> None:
    named = dict(enumerate(points))
    front = pareto_front(named)
    for name, (size, quality) in named.items():
        beaten = any((s <= size and q > quality) or (s < size and q >= quality) for s, q in points)
        if name in front:
            assert not beaten
        elif not beaten:
            assert (size, quality) in [named[other] for other in front], "only an equal one may stand for it"
    assert all(named[a][0] < named[b][0] and named[a][1] < named[b][1] for a, b in pairwise(front))
