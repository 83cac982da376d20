"""Memory of batches is used again, but never while anybody still looks at what is in it."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.store.direct.memory import Recycler


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


def test_memory_much_too_large_is_given_back() -> None:
    recycler = Recycler()
    recycler.take(1 << 20)
    small = recycler.take(1000)
    assert small.base is not None
    assert len(small.base) == 1000


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


def test_threads_do_not_share_a_piece() -> None:
    recycler, wrong = Recycler(), list[int]()

    def work(content: int) -> None:
        for _ in range(2000):
            octets = recycler.take(64)
            octets[:] = content
            if not (octets == content).all():
                wrong.append(content)

    threads = [threading.Thread(target=work, args=(content,)) for content in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
