"""Memory of batches is used again, but never while anybody still looks at what is in it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.sources.fast_parquet.memory import Recycler


def _address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_that_nobody_refers_to_is_used_again() -> None:
    recycler = Recycler()
    first = recycler.take(1000)
    place = _address(first)
    del first
    assert _address(recycler.take(900)) == place


def test_whatever_is_made_of_it_keeps_it() -> None:
    recycler = Recycler()

    def made() -> pa.Array:
        """A slice of an Arrow array whose numbers lie there; what it was made of is out of sight."""
        octets = recycler.take(4000)
        octets[:] = 7
        return pa.array(octets.view(np.float32)).slice(500, 100)

    kept = made()
    before = kept.to_pylist()
    seen = np.frombuffer(kept.buffers()[1], np.uint8)
    for _ in range(8):
        recycler.take(4000)[:] = 9
    assert kept.to_pylist() == before
    del kept
    recycler.take(4000)[:] = 9
    assert (seen == 7).all()


def test_larger_batches_leave_nothing_of_the_smaller_ones() -> None:
    recycler = Recycler()
    held = [recycler.take(1000) for _ in range(3)]
    del held
    recycler.take(5000)
    assert [len(piece) for piece in recycler._pieces] == [5000]


def test_a_few_pieces_are_kept_at_most_and_none_when_cleared() -> None:
    recycler = Recycler()
    held = [recycler.take(1000) for _ in range(10)]
    assert len({_address(octets) for octets in held}) == 10
    assert len(recycler._pieces) == 4
    held[0][:] = 7
    recycler.clear()
    recycler.take(1000)[:] = 9
    assert (held[0] == 7).all()
    assert len(recycler._pieces) == 1


@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans()), max_size=40))
def test_no_two_pieces_in_use_overlap(wishes: list[tuple[int, bool]]) -> None:
    recycler, kept = Recycler(), list[tuple[int, np.ndarray]]()
    for number, (size, keep) in enumerate(wishes):
        octets = recycler.take(size)
        assert len(octets) == size
        octets[:] = number % 256
        if keep:
            kept.append((number % 256, octets))
        for content, piece in kept:
            assert (piece == content).all()
