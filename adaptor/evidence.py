"""What the artefact says of itself: how much of the neighbourhood each dim keeps on rows that training never saw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.baselines import ADAPTOR, METHODS, Column, shorten
from adaptor.codec import STEPPED, coded_dims
from adaptor.neighbours import top_k
from adaptor.pairs import score_neighbours
from adaptor.quality import Scores, overlap_at_k, pairwise_distance, topk_distance
from adaptor.rows import Floats

_OVERLAPS = {"overlap@10": 10, "overlap@100": 100}
_NEAREST, _DEPTH = 10, 100
#: Rows that search, at most: the standard error of an overlap over 1,000 rows is below 0.01.
_MOST_ROWS = 1_000


def evidence(adaptor: Adaptor, held_out: Floats, corpus: Floats) -> list[dict[str, Any]]:
    """Overlap@10/100 with the exact full-dimension neighbours and the paper's two distances, per trained dim: of every
    method, and of the adaptor in every encoding that has codes there.

    `held_out` (h, d) rows search `corpus` (n, d); both original vectors, disjoint. Records as in metrics.json, with
    the rows searched (`corpus`): overlaps fall as the corpus grows (`matryoshka advise` measures how much).
    """
    held_out = held_out[:_MOST_ROWS]
    numbers = np.arange(len(corpus), dtype=np.int64)
    truth = top_k(held_out, corpus, numbers, _DEPTH, adaptor.metric)
    records = []
    for column, queries, searched in _columns(adaptor, held_out, corpus):
        neighbours = top_k(queries, searched, numbers, _DEPTH, adaptor.metric)
        scores = {name: overlap_at_k(truth.ids, neighbours.ids, k) for name, k in _OVERLAPS.items()}
        if column.encoding == "float32":
            nearest = score_neighbours(queries, searched, truth.ids[:, :_NEAREST], adaptor.metric)
            scores["pairwise_distance"] = pairwise_distance(held_out, queries, adaptor.metric)
            scores["topk_distance"] = topk_distance(truth.similarities[:, :_NEAREST], nearest)
        records += [
            {**column._asdict(), "metric": name, **_summary(value), "corpus": len(corpus)}
            for name, value in scores.items()
        ]
    return records


def _columns(adaptor: Adaptor, held_out: Floats, corpus: Floats) -> Iterator[tuple[Column, Floats, Floats]]:
    """Every column with its queries and what its documents are decoded to."""
    for method in METHODS:
        for dim in adaptor.dims:
            queries, documents = (shorten(adaptor, method, rows, dim) for rows in (held_out, corpus))
            yield Column(method, dim), queries, documents
    for dim in sorted(set(adaptor.dims) & set(coded_dims(adaptor.codes))):
        codecs = [adaptor.codec(dim=dim, encoding=encoding) for encoding in STEPPED]
        queries, documents = (codecs[0].transform(rows) for rows in (held_out, corpus))  # they share a projection
        for codec in codecs:
            stored = codec.quantiser.reconstruct(codec.quantiser.quantise(documents))
            yield Column(ADAPTOR, dim, codec.encoding), queries, stored


def _summary(scores: Scores) -> dict[str, float | int]:
    """Mean and 95% interval (normal: the rows are many and the scores bounded) of scores (n,)."""
    mean = float(scores.mean())
    margin = 1.96 * float(scores.std(ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
    low, high = max(mean - margin, 0.0), mean + margin
    return {"value": round(mean, 6), "ci_low": round(low, 6), "ci_high": round(high, 6), "n": len(scores)}
