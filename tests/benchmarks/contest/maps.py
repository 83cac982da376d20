"""What a contestant leaves: maps from long vectors to short ones, all of them adaptors of the product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptor.artefact import Adaptor, build
from adaptor.rows import Floats
from adaptor.settings import Metric
from tests.benchmarks.contest.product import METRIC


@dataclass(frozen=True)
class Sides:
    """A map of documents and another one of queries."""

    documents: Adaptor
    queries: Adaptor


#: Which map serves which dims: each the dims up to its key. Nearly all contestants have one map for all dims.
Maps = Mapping[int, Adaptor | Sides]


def one(adaptor: Adaptor) -> Maps:
    """One map for all dims."""
    return {adaptor.input_dim: adaptor}


def as_adaptor(architecture: str, tensors: dict[str, Floats], name: str, metric: Metric = METRIC) -> Adaptor:
    """An adaptor made of given tensors; `linear` (d, d) is one of them."""
    input_dim = len(tensors["linear"])
    description: dict[str, Any] = {
        "input_dim": input_dim,
        "dims": [input_dim],
        "metric": metric,
        "architecture": architecture,
        "unit_input": False,
        "recipe": {"name": name, "version": 1},
        "settings": {},
        "evidence": [],
    }
    return build(description, tensors, np.eye(input_dim, dtype=np.float32))


def linear(matrix: Floats, name: str, metric: Metric = METRIC) -> Adaptor:
    """The adaptor e → e·matrix, matrix (d, d)."""
    return as_adaptor("linear", {"linear": np.asarray(matrix, np.float32)}, name, metric)
