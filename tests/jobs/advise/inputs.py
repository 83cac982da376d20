"""Estimates and advice made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.candidates import Candidate, Costs
from jobs.advise.decision import Advice
from jobs.advise.estimates import Estimates, estimate
from jobs.config.databases import DATABASES
from jobs.config.targets import parse_target

DIM = 64
#: Dim → overlap@10 of the adaptor in float16; PCA is 0.1 below, truncation 0.3.
KEPT = {8: 0.55, 16: 0.75, 32: 0.92, DIM: 1.0}
#: Overlap that int4 loses.
LOST = 0.02
COSTS = Costs(rows=1000, input_dim=DIM, vector_bytes_now=4 * DIM, metric="cosine")


def series(mean: float) -> np.ndarray:
    """400 scores with this mean, whose interval is ± 0.01."""
    return mean + 0.1 * np.tile([-1.0, 1.0], 200)


def estimates(kept: Mapping[int, float] = KEPT, judged: bool = False) -> Estimates:
    """The original scores 0.5 in nDCG@10, short vectors their overlap's share of that."""
    scores = {Column("original", DIM): {"overlap@10": np.ones(400)}}
    for method, encoding, lower in (
        ("truncation", "float32", 0.3),
        ("pca", "float32", 0.1),
        (ADAPTOR, "float16", 0.0),
        (ADAPTOR, "int4", LOST),
    ):
        exact = encoding != "int4"
        scores |= {
            Column(method, w, encoding): {"overlap@10": series(value - lower) if w < DIM or not exact else np.ones(400)}
            for w, value in kept.items()
        }
    if judged:
        for by_metric in scores.values():
            by_metric["ndcg@10"] = by_metric["overlap@10"] / 2
    return estimate(scores, 1000, 0)


def candidate(method: str, dim: int, encoding: str, bits: int) -> Candidate:
    column = Column(method, dim, "float32" if method != ADAPTOR else encoding)
    return Candidate(column, encoding, dim * bits // 8, dim * bits // 8)


def advice(targets: Sequence[str], found: Estimates | None = None, database: str | None = None) -> Advice:
    found = found or estimates()
    dims = sorted({column.dim for column, _ in found.absolute if column.method == ADAPTOR})
    own = [candidate(ADAPTOR, dim, *kind) for dim in dims for kind in (("float16", 16), ("int4", 4))]
    others = {method: [candidate(method, dim, "float16", 16) for dim in dims] for method in ("truncation", "pca")}
    return Advice(
        targets=[parse_target(text) for text in targets],
        estimates=found,
        costs=COSTS,
        candidates={ADAPTOR: sorted(own, key=lambda c: c.bytes), **others},
        database=DATABASES[database] if database else None,
    )
