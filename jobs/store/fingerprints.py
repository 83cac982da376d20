"""64-bit fingerprints of row ids, to look for doubled ids in 8 bytes a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.store.ids import id_texts

Fingerprints = npt.NDArray[np.uint64]


def fingerprints(ids: pa.Array) -> Fingerprints:
    """Fingerprint of each id's text (7 and "7" are the same id): uint64 (n,). Ids must not be null.

    Tabulation hashing: every (position, byte) has a random-looking number, and those of a text are added up modulo
    2^64. Two different ids agree with a probability of about 2^-64.
    """
    texts = pc.cast(id_texts(ids), pa.large_binary())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    first, last = int(ends[0]), int(ends[-1])
    if first == last:  # only empty texts
        return np.zeros(len(texts), np.uint64)
    letters = np.frombuffer(data, np.uint8)[first:last].astype(np.uint64)
    places = np.arange(first, last, dtype=np.int64) - np.repeat(ends[:-1], np.diff(ends))
    numbers = _scramble(places.astype(np.uint64) * np.uint64(256) + letters + np.uint64(1))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(numbers)))
    return sums[ends[1:] - first] - sums[ends[:-1] - first]


def doubled(sorted_prints: Fingerprints) -> Fingerprints:
    """The values that an ascending uint64 (n,) holds more than once, each once, ascending."""
    return np.unique(sorted_prints[1:][sorted_prints[1:] == sorted_prints[:-1]])


def _scramble(numbers: Fingerprints) -> Fingerprints:
    """The finaliser of splitmix64."""
    numbers = numbers * np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
