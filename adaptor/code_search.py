"""The k best of codes that stream past, for queries that stay float; and rescoring what was found. numpy only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from adaptor.codec import Codec
from adaptor.errors import InputError
from adaptor.quantisers import Codes
from adaptor.rows import Floats, Ids

#: Scores that are held at once, over all queries.
_SCORES = 1 << 24


def search_codes(codec: Codec, queries: Floats, blocks: Iterable[Codes], k: int) -> tuple[Ids, Floats]:
    """The k codes nearest to each of `queries` (q, d), original vectors, among `blocks` of codes (n, width).

    Returns row numbers int64 (q, k), counted over all blocks, and similarities float32 (q, k), best first, ties by row
    number; -1 and -inf where there are fewer codes. Raises InputError as `Codec.score` does.
    """
    if k < 1:
        raise InputError(f"k is {k}: ask for at least 1 row")
    asked = codec.transform(np.atleast_2d(queries))
    rows = np.full((len(asked), k), -1, np.int64)
    scores = np.full((len(asked), k), -np.inf, np.float32)
    first = 0
    for block in blocks:
        step = max(1, _SCORES // max(1, len(asked)))
        for start in range(0, len(block), step):
            part = codec.score_transformed(asked, block[start : start + step])
            numbers, best = _best(part, k)
            numbers = np.concatenate([rows, numbers + first + start], axis=1)
            rows, scores = _ranked(numbers, np.concatenate([scores, best], axis=1), k)
        first += len(block)
    return rows, scores


def rescore(codec: Codec, queries: Floats, rows: Ids, codes: Codes, k: int) -> tuple[Ids, Floats]:
    """The k best of candidate `rows` (q, c) by a better encoding, whose `codes` (q·c, width) are theirs in turn.

    Returns and raises as `search_codes` does; a row number of -1 stands for none.
    """
    asked, candidates = codec.transform(np.atleast_2d(queries)), rows.shape[1]
    if len(codes) != rows.size:
        raise InputError(f"{len(codes)} codes were given for {rows.size} candidate rows: give one for each, in turn")
    scores = np.full(rows.shape, -np.inf, np.float32)
    for number, query in enumerate(asked):
        own = codes[number * candidates : (number + 1) * candidates]
        scores[number] = np.where(rows[number] < 0, -np.inf, codec.score_transformed(query[None], own)[0])
    return _ranked(rows, scores, k)


def _best(scores: Floats, k: int) -> tuple[Ids, Floats]:
    """Places and values of the k best of each row of (q, n), in any order; of equal ones the first."""
    if scores.shape[1] <= k:
        places = np.broadcast_to(np.arange(scores.shape[1], dtype=np.int64), scores.shape)
        return places, scores
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    # Those above the k-th, then those equal to it by place: a stable sort of the few that count.
    keys = np.where(scores > last, 0, np.where(scores == last, 1, 2)).astype(np.int8)
    places = np.argsort(keys, axis=1, kind="stable")[:, :k]
    return places.astype(np.int64), np.take_along_axis(scores, places, 1)


def _ranked(rows: Ids, scores: Floats, k: int) -> tuple[Ids, Floats]:
    """The k best of rows (q, n) by their scores (q, n), best first, ties by row."""
    order = np.lexsort((np.where(rows < 0, np.iinfo(np.int64).max, rows), -scores), axis=1)[:, :k]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
