"""Rotations that are learned for their codes: ITQ (Gong and Lazebnik, CVPR 2011) and ASH's, which turns PCA axes by
Procrustes towards the codes (the same for any number of bits). Both on PCA prefixes, centred, with a float query."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from adaptor.quantisers import MidRise
from adaptor.rows import Floats, Ids
from tests.benchmarks.contest.codes import Code, CodeMethod, Coder, Material, Pair, decoded, nearest
from tests.benchmarks.contest.prefixes import prefixes, random_rotation

_BITS = {"int4": 4, "int2": 2, "binary": 1}
#: Rows that a rotation is learned from at most, and rounds of each method.
_ROWS, _ITQ_ROUNDS, _ASH_ROUNDS = 8192, 30, 15
#: A step's first guess, in standard deviations (the best for a normal distribution), and rounds that improve it.
_NORMAL_STEPS, _STEP_ROUNDS = {1: 1.596, 2: 0.996, 4: 0.335}, 6


def itq(rows: Floats, start: Floats) -> Floats:
    """The rotation (m, m) that brings centred rows (n, m) near their signs, from a start (m, m)."""
    turn = start
    for _ in range(_ITQ_ROUNDS):
        turn = _procrustes(rows, np.sign(rows @ turn))
    return turn


def ash(rows: Floats, bits: int) -> Floats:
    """The rotation (m, m) that brings centred rows (n, m) near their codes of `bits`, from the identity."""
    turn = np.eye(rows.shape[1], dtype=np.float32)
    for _ in range(_ASH_ROUNDS):
        turned = rows @ turn
        turn = _procrustes(rows, _codes(turned, bits, least_squares_step(turned, bits)))
    return turn


def least_squares_step(numbers: Floats, bits: int) -> float:
    """The step of 2^bits mid-rise levels with the least squared error, from codes and step in turn."""
    step = float(numbers.std()) * _NORMAL_STEPS[bits] or 1.0
    for _ in range(_STEP_ROUNDS):
        levels = _codes(numbers, bits, step) / np.float32(step)
        step = float(np.sum(numbers * levels, dtype=np.float64) / np.sum(np.square(levels), dtype=np.float64))
    return step


def _codes(numbers: Floats, bits: int, step: float) -> Floats:
    half = 1 << (bits - 1)
    return np.asarray((np.clip(np.floor(numbers / step), -half, half - 1) + 0.5) * step, np.float32)


def _procrustes(rows: Floats, target: NDArray[np.float32]) -> Floats:
    """The orthogonal R with the least |rows·R - target|."""
    left, _, right = np.linalg.svd(rows.T @ target)
    return np.asarray(left @ right, np.float32)


def _pairs(*encodings: str) -> Callable[[int, int], Iterator[Pair]]:
    def pairs(input_dim: int, budget: int) -> Iterator[Pair]:
        """All the dims that the budget pays."""
        for encoding in encodings:
            dim = min(input_dim, budget * 8 // _BITS[encoding.split()[0]]) // 8 * 8
            if dim:
                yield Pair(dim, encoding)

    return pairs


def _coder(learn: Callable[[Floats, int, int], Floats]) -> Callable[[Material], Coder]:
    """A coder with rotations learned by `learn`: centred rows, bits, seed → rotation."""

    def make(material: Material) -> Coder:
        """Of one set."""
        vectors, seed = material.there.vectors, material.seed
        given = prefixes(material.there, seed)

        def code(pair: Pair) -> Code:
            """The codes of a pair."""
            encoding, _, hamming = pair.encoding.partition(" ")
            bits, prefix = _BITS[encoding], given.pca(pair.dim)
            rows = prefix.transform(vectors)
            sample = rows[:: max(1, len(rows) // _ROWS)][:_ROWS]
            turned = prefix.turned(learn(sample - sample.mean(axis=0), bits, seed))
            rows = turned.transform(vectors)
            centre = rows.mean(axis=0)
            quantiser = MidRise(bits, least_squares_step(rows - centre, bits), centre)
            codes = quantiser.quantise(rows)
            if hamming:
                return Code(quantiser.width, lambda queries: _by_hamming(turned.transform(queries), codes, quantiser))
            return decoded(quantiser.width, turned.transform, quantiser.reconstruct(codes), "cosine")

        return code

    return make


def _by_hamming(queries: Floats, codes: NDArray[np.uint8], quantiser: MidRise) -> Ids:
    """Signs against signs: their dot product counts the equal ones."""
    return nearest(quantiser.levels(quantiser.quantise(queries)), quantiser.levels(codes), "dot")


def _learn_itq(rows: Floats, bits: int, seed: int) -> Floats:
    return itq(rows, random_rotation(rows.shape[1], seed))


LEARNED_ROTATIONS = {
    "ITQ bits, Hamming": CodeMethod(_pairs("binary hamming"), _coder(_learn_itq)),
    "ITQ bits, float query": CodeMethod(_pairs("binary"), _coder(_learn_itq)),
    "ASH": CodeMethod(_pairs("int4", "int2", "binary"), _coder(lambda rows, bits, seed: ash(rows, bits)), seeds=False),
}
