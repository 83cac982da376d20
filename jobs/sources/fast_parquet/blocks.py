"""A range of a file as a stream of bytes, read in blocks, several of them ahead where each costs a round trip."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.fast_parquet.runs import Octets

#: Bytes of a block where nothing is read ahead: for page headers. Pages then go straight to where they are wanted.
_HEADER_BLOCK = 1 << 17


class Blocks:
    """The bytes `start` to `stop` of `source`, in order, until `close`.

    `ahead` requests of `block_bytes` are under way while the caller works. With 0 the position of `source` is used,
    which nobody else may use then. What `peek` and `take` give is valid until the next call: the memory is reused,
    since fresh memory costs as much as reading.
    """

    def __init__(self, source: pa.NativeFile, start: int, stop: int, block_bytes: int, ahead: int) -> None:
        self._source, self._ahead = source, ahead
        self._block_bytes = block_bytes if ahead else min(block_bytes, _HEADER_BLOCK)
        self._position, self._stop = start, stop
        self._left = stop - start
        self._block = np.empty(0, np.uint8)
        self._block_memory = np.empty(0 if ahead else self._block_bytes, np.uint8)
        self._memory = np.empty(0, np.uint8)
        self._threads = ThreadPoolExecutor(ahead, thread_name_prefix="range") if ahead else None
        self._coming: deque[tuple[int, Future[bytes]]] = deque()

    def close(self) -> None:
        """Wait for what is under way and drop it."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def peek(self, count: int) -> Octets:
        """The next bytes without taking them: `count`, or as many as are left."""
        while len(self._block) < min(count, self._left):
            begun = self._block.copy()
            self._read()
            if len(begun):
                self._block = np.concatenate((begun, self._block))
        return self._block[:count]

    def take(self, count: int) -> Octets:
        """The next `count` bytes; `NeedsArrowReader` when fewer are left."""
        if count > self._left:
            raise NeedsArrowReader("a page that ends after its column chunk")
        self._left -= count
        if count <= len(self._block):
            taken, self._block = self._block[:count], self._block[count:]
            return taken
        if len(self._memory) < count:
            self._memory = np.empty(count, np.uint8)
        filled = 0
        while filled < count:
            if not len(self._block):
                if self._threads is None and count - filled >= self._block_bytes:
                    self._fill(self._memory[filled:count])
                    break
                self._read()
            used = min(len(self._block), count - filled)
            self._memory[filled : filled + used] = self._block[:used]
            filled, self._block = filled + used, self._block[used:]
        return self._memory[:count]

    def _read(self) -> None:
        """Make the next block the present one."""
        if self._threads is None:
            self._block = self._block_memory[: self._stop - self._position]
            self._fill(self._block)
            return
        while len(self._coming) < self._ahead and self._position < self._stop:
            size = min(self._block_bytes, self._stop - self._position)
            self._coming.append((size, self._threads.submit(self._source.read_at, size, self._position)))
            self._position += size
        size, coming = self._coming.popleft()
        self._block = np.frombuffer(coming.result(), np.uint8)
        if len(self._block) != size:
            raise NeedsArrowReader("a file that is shorter than its footer says")

    def _fill(self, memory: Octets) -> None:
        """Read the next bytes of the range into `memory`."""
        self._source.seek(self._position)
        filled = 0
        while filled < len(memory):
            count = self._source.readinto(memory[filled:].data)
            if not count:
                raise NeedsArrowReader("a file that is shorter than its footer says")
            filled += count
        self._position += len(memory)
