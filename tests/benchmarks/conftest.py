"""A small set that the tests of the contests share."""

from __future__ import annotations

import numpy as np
import pytest

from adaptor.neighbours import top_k
from adaptor.rows import unit_rows
from jobs.fit.labels import Labelled
from jobs.sources.queries import Queries
from tests.benchmarks.contest.sets import ScoredQueries, SearchSet

DIM, ROWS = 24, 300


@pytest.fixture(scope="session")
def there() -> SearchSet:
    """Relevant is what is of the same small cluster, which shows in directions of little variance only."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(40, DIM)) * np.r_[np.full(6, 0.1), np.full(DIM - 6, 0.5)]
    spread = np.r_[np.full(6, 1.0), np.full(DIM - 6, 0.15)]
    cluster, asked = draw.integers(40, size=ROWS), draw.integers(40, size=180)
    noise = [spread * draw.normal(size=(count, DIM)) for count in (ROWS, 180)]
    vectors = unit_rows((centres[cluster] + noise[0]).astype(np.float32))
    queries = unit_rows((centres[asked] + noise[1]).astype(np.float32))
    relevant = [np.flatnonzero(cluster == c)[:4].tolist() for c in asked]
    ids = [f"d{row}" for row in range(ROWS)]
    qrels = {f"q{i}": {f"d{row}": 1 + row % 2 for row in relevant[i]} for i in range(120)}
    documents = {name: vectors[row] for row, name in enumerate(ids)}
    asked_for = Queries([f"q{i}" for i in range(120)], queries[:120])
    labelled = Labelled(name="train", queries=asked_for, qrels=qrels, documents=documents)
    judged = {i: dict.fromkeys(relevant[120 + i], 1) for i in range(60)}
    truth = top_k(queries[120:], vectors, np.arange(ROWS), 100, "cosine")
    return SearchSet("tiny", ids, vectors, labelled, ScoredQueries(queries[120:], judged, truth))
