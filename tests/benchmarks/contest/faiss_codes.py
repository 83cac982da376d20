"""The codes of faiss at a budget of bytes: product, scalar and RaBitQ quantisers, as its own search uses them.

Each reads unit vectors: the original ones where its codebooks take all of them, else a PCA prefix, rotated at random
where that is an option. Scalar and product codes are searched by dot product and by Euclidean distance, each a pair of
its own. That search equals a comparison with the decoded vectors, which is how it is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import faiss
import numpy as np

from adaptor.rows import Floats, Ids
from tests.benchmarks.contest.codes import DEPTH, Code, CodeMethod, Coder, Material, Pair, Similarity, decoded
from tests.benchmarks.contest.prefixes import Prefix, Prefixes, prefixes

_SIMILARITIES: tuple[Similarity, ...] = ("dot", "l2")
#: Rounds of OPQ (faiss: 50; more than 15 changed nothing here) and rows it learns from.
_OPQ_ROUNDS, _OPQ_ROWS = 15, 8192
#: A query's bits in RaBitQ's search of one-bit codes: as good as the float query, and thirty times as fast.
_RABITQ_QUERY_BITS = 8

#: Vectors, prefixes, dim, encoding without the similarity → bytes, prefix, decoded documents.
Decode = Callable[[Floats, Prefixes, int, str], tuple[int, Prefix, Floats]]


def pq_pairs(input_dim: int, budget: int) -> Iterator[Pair]:
    """One byte a subquantiser: as many dims as there are, and about half as many."""
    for per in sorted({input_dim // budget, input_dim // budget // 2} - {0}):
        yield from _compared(per * budget, f"pq{budget}")


def opq_pairs(input_dim: int, budget: int) -> Iterator[Pair]:
    """Four dims a subquantiser, as faiss advises, or as many as there are."""
    if input_dim >= budget:
        yield from _compared(budget * min(4, input_dim // budget), f"opq{budget}")


def sq_pairs(bits: int) -> Callable[[int, int], Iterator[Pair]]:
    """Scalar codes of all the dims that the budget pays, with and without a rotation."""

    def pairs(input_dim: int, budget: int) -> Iterator[Pair]:
        """Pairs at a budget."""
        dim = min(input_dim, budget * 8 // bits)
        for encoding in (f"sq{bits}", f"sq{bits} rotated"):
            yield from _compared(dim - dim % (8 // bits), encoding)

    return pairs


def turboquant_pairs(input_dim: int, budget: int) -> Iterator[Pair]:
    """1 to 4 bits."""
    for bits in (1, 2, 3, 4):
        if (dim := min(input_dim, budget * 8 // bits) // 8 * 8) >= 8:
            yield from _compared(dim, f"turboquant{bits}")


def rabitq_pairs(input_dim: int, budget: int) -> Iterator[Pair]:
    """1 to 4 bits; faiss stores factors beside the bits, which count."""
    for bits in (1, 2, 3, 4):
        fitting = [dim for dim in range(8, input_dim + 1, 8) if rabitq_bytes(dim, bits) <= budget]
        if fitting:
            yield Pair(fitting[-1], f"rabitq{bits}")


@lru_cache
def rabitq_bytes(dim: int, bits: int) -> int:
    """Bytes of one code, factors included."""
    return _size(faiss.IndexRaBitQ(dim, faiss.METRIC_L2, bits))


def _compared(dim: int, encoding: str) -> Iterator[Pair]:
    return (Pair(dim, f"{encoding} {similarity}") for similarity in _SIMILARITIES)


def coder(decode: Decode) -> Callable[[Material], Coder]:
    """A coder that trains and decodes once for both similarities."""

    def make(material: Material) -> Coder:
        """Of one set."""
        vectors, given = material.there.vectors, prefixes(material.there, material.seed)

        @lru_cache(maxsize=1)
        def once(dim: int, encoding: str) -> tuple[int, Prefix, Floats]:
            """The last one is kept."""
            return decode(vectors, given, dim, encoding)

        def code(pair: Pair) -> Code:
            """The codes of a pair."""
            encoding, _, named = pair.encoding.rpartition(" ")
            size, prefix, documents = once(pair.dim, encoding)
            similarity: Similarity = "dot" if named == "dot" else "l2"
            return decoded(size, prefix.transform, documents, similarity)

        return code

    return make


def decode_pq(vectors: Floats, given: Prefixes, dim: int, encoding: str) -> tuple[int, Prefix, Floats]:
    """Product quantiser."""
    prefix = given.whole() if dim == len(given.axes) else given.rotated(dim)
    rows = prefix.transform(vectors)
    index = _pq(faiss.IndexPQ(dim, int(encoding.removeprefix("pq")), 8), given.seed)
    return _through(index, prefix, rows)


def decode_opq(vectors: Floats, given: Prefixes, dim: int, encoding: str) -> tuple[int, Prefix, Floats]:
    """Product quantiser after faiss's optimised rotation to `dim`."""
    count, prefix = int(encoding.removeprefix("opq")), given.whole()
    rows = prefix.transform(vectors)
    matrix = faiss.OPQMatrix(rows.shape[1], count, dim)
    inner = faiss.ProductQuantizer(dim, count, 8)
    inner.cp.min_points_per_centroid, inner.cp.seed = 1, given.seed + 1
    matrix.pq, matrix.niter, matrix.max_train_points = inner, _OPQ_ROUNDS, _OPQ_ROWS
    matrix.train(rows)
    # Not normalised: an orthonormal map of unit rows to fewer dims shortens them, as in faiss's own chain.
    turned = _Linear(faiss.vector_to_array(matrix.A).reshape(dim, -1).T.copy())
    return _through(_pq(faiss.IndexPQ(dim, count, 8), given.seed), turned, turned.transform(rows))


class _Linear(Prefix):
    def transform(self, vectors: Floats) -> Floats:
        """Vectors (n, d) → float32 (n, m), lengths as they come."""
        return np.ascontiguousarray(vectors @ self.matrix)


def decode_sq(vectors: Floats, given: Prefixes, dim: int, encoding: str) -> tuple[int, Prefix, Floats]:
    """Scalar quantiser: QT_4bit and QT_8bit, whose ranges are each dimension's own, or TurboQuant's (rotated)."""
    rotated = encoding.endswith("rotated") or encoding.startswith("turboquant")
    prefix = given.rotated(dim) if rotated else given.pca(dim)
    kind = encoding.removesuffix(" rotated")
    bits = kind.removeprefix("turboquant").removeprefix("sq")
    name = f"QT_{bits}bit_tqmse" if kind.startswith("turboquant") else f"QT_{bits}bit"
    index = faiss.IndexScalarQuantizer(dim, getattr(faiss.ScalarQuantizer, name), faiss.METRIC_L2)
    return _through(index, prefix, prefix.transform(vectors))


def _through(index: Any, prefix: Prefix, rows: Floats) -> tuple[int, Prefix, Floats]:
    index.train(rows)
    return _size(index), prefix, index.sa_decode(index.sa_encode(rows))


def _size(index: Any) -> int:
    return int(index.sa_code_size())


def _pq(index: Any, seed: int) -> Any:
    index.pq.cp.min_points_per_centroid, index.pq.cp.seed = 1, seed + 1
    return index


def rabitq(material: Material) -> Coder:
    """RaBitQ of rotated prefixes, searched by faiss itself."""
    vectors, given = material.there.vectors, prefixes(material.there, material.seed)

    def code(pair: Pair) -> Code:
        """The codes of a pair."""
        prefix = given.rotated(pair.dim)
        index = faiss.IndexRaBitQ(pair.dim, faiss.METRIC_L2, int(pair.encoding.removeprefix("rabitq")))
        rows = prefix.transform(vectors)
        index.train(rows)
        index.add(rows)
        index.qb = _RABITQ_QUERY_BITS

        def search(queries: Floats) -> Ids:
            """By faiss's estimate of the distance."""
            return np.asarray(index.search(prefix.transform(queries), DEPTH)[1], np.int64)

        return Code(_size(index), search)

    return code


FAISS = {
    "faiss SQ8": CodeMethod(sq_pairs(8), coder(decode_sq)),
    "faiss SQ4": CodeMethod(sq_pairs(4), coder(decode_sq)),
    "faiss RaBitQ": CodeMethod(rabitq_pairs, rabitq),
    "faiss TurboQuant": CodeMethod(turboquant_pairs, coder(decode_sq)),
    "faiss PQ": CodeMethod(pq_pairs, coder(decode_pq)),
    "faiss OPQ": CodeMethod(opq_pairs, coder(decode_opq)),
}
