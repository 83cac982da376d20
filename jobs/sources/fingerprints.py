"""64-bit fingerprints of row ids: doubled ids are looked for in 8 bytes a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.sources.ids import id_texts

Fingerprints = npt.NDArray[np.uint64]
#: Most ids that an `IdCounter` counts, 8 bytes of memory each.
_COUNTED_IDS = 4 << 20


def fingerprints(ids: pa.Array) -> Fingerprints:
    """Fingerprint of each id's text (7 and "7" are the same id): uint64 (n,). Ids must not be null.

    Tabulation hashing: the sum, modulo 2^64, of a random-looking number for each (position, byte). Two different ids
    agree with a probability of about 2^-64.
    """
    texts = pc.cast(id_texts(ids), pa.large_binary())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    first, last = int(ends[0]), int(ends[-1])
    if first == last:  # only empty texts
        return np.zeros(len(texts), np.uint64)
    letters = np.frombuffer(data, np.uint8)[first:last].astype(np.uint64)
    positions = np.arange(first, last, dtype=np.int64) - np.repeat(ends[:-1], np.diff(ends))
    numbers = _scramble(positions.astype(np.uint64) * np.uint64(256) + letters + np.uint64(1))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(numbers)))
    return sums[ends[1:] - first] - sums[ends[:-1] - first]


def doubled(sorted_prints: Fingerprints) -> Fingerprints:
    """The values that an ascending uint64 (n,) holds more than once, each once, ascending."""
    return np.unique(sorted_prints[1:][sorted_prints[1:] == sorted_prints[:-1]])


class IdCounter:
    """Counts rows whose id came before, as long as that takes little memory."""

    def __init__(self) -> None:
        self._prints: list[Fingerprints] = []
        self._rows = 0

    def add(self, ids: pa.Array) -> None:
        """Count a batch of ids."""
        self._rows += len(ids)
        if self._rows <= _COUNTED_IDS:
            self._prints.append(fingerprints(ids))
        else:
            self._prints.clear()

    def doubled(self) -> int | None:
        """Rows whose id came before; None when there were too many rows to count."""
        if self._rows > _COUNTED_IDS:
            return None
        prints = np.concatenate([np.empty(0, np.uint64), *self._prints])
        prints.sort()  # in place, and not np.unique: that hashes, at a hundred times the cost
        return int(np.count_nonzero(prints[1:] == prints[:-1]))


def _scramble(numbers: Fingerprints) -> Fingerprints:
    """The finaliser of splitmix64."""
    numbers = numbers * np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
