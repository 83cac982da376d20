"""The float32 half of the neighbour search: the rows that score best for each query, from one product after another.

On the CPU numpy multiplies (its OpenBLAS is newer than the one inside faiss: 1.1 to 4 times as fast, by the processor)
and faiss's heaps take the best of a block of products while it is in the cache; a GPU does both with torch. No more
than one block and the best so far are held.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from adaptor.gpu import gpu_seen
from adaptor.rows import Floats, Ids
from adaptor.settings import Metric

#: Queries and rows of one block of products: 8 MB on the CPU, 1 GB on a GPU.
_CPU_BLOCK, _GPU_BLOCK = (2048, 1024), (4096, 65_536)


def candidates(
    queries: Floats, vectors: Floats, k: int, metric: Metric, floor: Floats | None = None
) -> tuple[Ids, Floats]:
    """Positions in `vectors` (n, d) of the k rows that score best for each of `queries` (q, d): int64 (q, k), best
    first, and their scores, float32 (q, k), right within `doubt`.

    A score is the inner product or, for `l2`, minus the squared distance; only rows above `floor` (q,) count, and what
    stays empty is -1 and -inf. Computed on the GPU where torch sees one.
    """
    if metric == "l2":
        # |q|² is the same for all rows of a query, so 2 q·v - |v|² ranks like minus the squared distance.
        squares, added, queries = _squares(queries), -_squares(vectors), queries * 2
    else:
        squares, added = np.zeros(len(queries), np.float32), None
    below = np.full(len(queries), -np.inf, np.float32) if floor is None else floor + squares
    positions, scores = (_by_selection if gpu_seen() else _by_heaps)(queries, vectors, added, below, k)
    return positions, scores - squares[:, None]


def doubt(queries: Floats, vectors: Floats, metric: Metric) -> Floats:
    """How far the float32 score of each query (q, d) with any of `vectors` (n, d) may be from the exact one: (q,).

    8 √d roundings of the longest product: for a sum of d terms that holds but once in 10¹³ (Higham and Mary, SIAM J.
    Sci. Comput. 41, 2019, theorem 2.4 with λ = 8), and sums in blocks, as here, stay far below.
    """
    rounding = 8 * np.sqrt(queries.shape[1]) * np.finfo(np.float32).eps / 2
    lengths, longest = np.sqrt(_squares(queries)), np.sqrt(_squares(vectors).max())
    product = np.square(lengths + longest) if metric == "l2" else lengths * longest
    return np.asarray(rounding * product, np.float32)


def _by_heaps(queries: Floats, vectors: Floats, added: Floats | None, floor: Floats, k: int) -> tuple[Ids, Floats]:
    positions = np.full((len(queries), k), -1, np.int64)
    scores = np.repeat(floor[:, None], k, axis=1)
    heaps: Any = faiss.float_minheap_array_t()
    heaps.k = k
    for first in range(0, len(queries), _CPU_BLOCK[0]):
        block = queries[first : first + _CPU_BLOCK[0]]
        # Heaps of equal entries are heaps: they need no other preparation.
        heaps.nh, heaps.ids, heaps.val = len(block), faiss.swig_ptr(positions[first:]), faiss.swig_ptr(scores[first:])
        space = np.empty(len(block) * _CPU_BLOCK[1], np.float32)
        for start in range(0, len(vectors), _CPU_BLOCK[1]):
            part = vectors[start : start + _CPU_BLOCK[1]]
            products = np.matmul(block, part.T, out=space[: len(block) * len(part)].reshape(len(block), len(part)))
            if added is not None:
                products += added[start : start + len(part)]
            heaps.addn(len(part), faiss.swig_ptr(products), start, 0, len(block))
        heaps.reorder()
    scores[positions < 0] = -np.inf
    return positions, scores


def _by_selection(
    queries: Floats, vectors: Floats, added: Floats | None, floor: Floats, k: int, device: str = "cuda"
) -> tuple[Ids, Floats]:
    """The same on a GPU, which selects faster than it could bring the products to the host."""
    import torch  # takes seconds: only where it is used

    torch.set_float32_matmul_precision("highest")  # some images turn TF32 on, of whose rounding `doubt` knows nothing
    left, right = torch.tensor(queries, device=device), torch.tensor(vectors, device=device)
    more = None if added is None else torch.tensor(added, device=device)
    positions = torch.full((len(queries), k), -1, device=device)
    scores = torch.tensor(floor, device=device)[:, None].repeat(1, k)
    for start in range(0, len(vectors), _GPU_BLOCK[1]):
        stop = min(start + _GPU_BLOCK[1], len(vectors))
        for first in range(0, len(queries), _GPU_BLOCK[0]):
            block = slice(first, first + _GPU_BLOCK[0])
            products = left[block] @ right[start:stop].T
            if more is not None:
                products += more[start:stop]
            best, columns = products.topk(min(k, stop - start), dim=1)
            # Stable: of equal scores the first one stays, so that a row at the floor does not count.
            merged = torch.cat([scores[block], best], 1).sort(dim=1, descending=True, stable=True)
            scores[block] = merged.values[:, :k]
            positions[block] = torch.cat([positions[block], columns + start], 1).gather(1, merged.indices[:, :k])
    scores[positions < 0] = -torch.inf
    return positions.cpu().numpy(), scores.cpu().numpy()


def _squares(vectors: Floats) -> Floats:
    return np.asarray(np.einsum("nd,nd->n", vectors, vectors))
