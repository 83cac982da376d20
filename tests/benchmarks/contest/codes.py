"""What a contestant of the frontier is: pairs of dim and encoding for a budget of bytes, and a search in codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from adaptor.artefact import Adaptor
from adaptor.quality import overlap_at_k
from adaptor.rows import Floats, Ids
from jobs.search.scoring import retrieval_scores
from tests.benchmarks.contest.scores import QueryScores
from tests.benchmarks.contest.sets import ScoredQueries, SearchSet

#: Neighbours that a search returns: what nDCG@10 and overlap@10 need.
DEPTH = 10
#: How queries are compared with decoded vectors. `cosine` divides the decoded length out, as ours does; faiss does not.
Similarity = Literal["cosine", "dot", "l2"]
_QUERIES_AT_ONCE = 256
#: Bytes beside those of TIMES.
_LADDER = (16, 32, 48, 64, 96, 128, 192, 256)
#: How many times smaller than float32 the issue's targets are.
TIMES = (12, 24, 48)


class Pair(NamedTuple):
    """How vectors are stored: how many numbers, and how each."""

    dim: int
    encoding: str


@dataclass(frozen=True)
class Code:
    """A corpus in codes: bytes of one vector, and the search, original queries (q, d) → rows (q, DEPTH)."""

    bytes: int
    search: Callable[[Floats], Ids]


#: Codes the corpus for a pair.
Coder = Callable[[Pair], Code]


@dataclass(frozen=True)
class Material:
    """What a contestant learns from: the set, the seed, and adaptors by the name of the method of quality.py that fits
    them."""

    there: SearchSet
    seed: int
    adaptor: Callable[[str], Adaptor]


@dataclass(frozen=True)
class CodeMethod:
    """A contestant. `pairs` says which pairs it offers for a dimension and a budget of bytes, `coder` learns what pairs
    share. `seeds` says that chance plays a part, `map` is the method of quality.py that it asks an adaptor of,
    `version` counts changes of its code."""

    pairs: Callable[[int, int], Iterable[Pair]]
    coder: Callable[[Material], Coder]
    seeds: bool = True
    map: str | None = None
    version: str = "1"


def budgets(input_dim: int, ladder: bool = True) -> list[int]:
    """Bytes a vector, ascending: those of TIMES, and those of the ladder from half the least to 6 times smaller."""
    targets = {input_dim * 4 // times for times in TIMES}
    if not ladder:
        return sorted(targets)
    low, high = min(targets), input_dim * 4 // 6
    return sorted(targets | {rung for rung in _LADDER if low // 2 <= rung <= high})


def decoded(size: int, transform: Callable[[Floats], Floats], documents: Floats, similarity: Similarity) -> Code:
    """Codes whose search is a comparison with decoded `documents` (n, m); `transform` is the query's side."""
    return Code(size, lambda queries: nearest(transform(queries), documents, similarity))


def nearest(queries: Floats, documents: Floats, similarity: Similarity) -> Ids:
    """Rows of the DEPTH nearest `documents` (n, m) for each of `queries` (q, m), best first."""
    kept, squares = torch.from_numpy(documents), torch.from_numpy(np.einsum("nm,nm->n", documents, documents))
    scale = squares.clamp_min(1e-30).rsqrt() if similarity == "cosine" else torch.ones(())
    shift = squares / 2 if similarity == "l2" else torch.zeros(())
    blocks = torch.split(torch.from_numpy(queries), _QUERIES_AT_ONCE)
    found = [torch.topk((block @ kept.T) * scale - shift, min(DEPTH, len(documents))).indices for block in blocks]
    return np.asarray(torch.cat(found).numpy(), np.int64)


def code_scores(code: Code, queries: ScoredQueries) -> QueryScores:
    """nDCG@10 and overlap@10, float64 (q,) each."""
    rows = code.search(queries.vectors)
    ndcg = retrieval_scores(rows, queries.judged)["ndcg@10"]
    return {"ndcg@10": ndcg, "overlap@10": overlap_at_k(queries.truth.ids, rows, DEPTH)}
