"""Whom the frontier asks: queries to choose on (splits train and dev) and queries to report on (split test)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from adaptor.neighbours import Neighbours
from jobs.search.scoring import retrieval_scores
from tests.benchmarks.contest.sets import ScoredQueries, SearchSet, scored, split_of

CHOICE, TEST = "choice", "test"
_SEED = 0


@dataclass(frozen=True)
class Asked:
    """A set, and the judged queries of each purpose (CHOICE, TEST), at most so many."""

    there: SearchSet
    queries: dict[str, ScoredQueries]

    def original(self, purpose: str) -> float:
        """nDCG@10 of the original vectors."""
        queries = self.queries[purpose]
        return float(retrieval_scores(queries.truth.ids[:, :10], queries.judged)["ndcg@10"].mean())


def asked(there: SearchSet, folder: Path, most: int) -> Asked:
    """Draw at most `most` judged queries for each purpose; none that is reported on is chosen on."""
    place = {name: row for row, name in enumerate(there.ids)}
    splits = [split for split in ("train", "dev") if split in _splits(folder)]
    parts = [scored(*split_of(folder, split), place, there.vectors) for split in splits]
    return Asked(there, {CHOICE: some(joined(parts), most), TEST: some(there.test, most)})


def joined(parts: list[ScoredQueries]) -> ScoredQueries:
    """Queries of several splits, one after the other."""
    starts = np.cumsum([0, *(len(part.vectors) for part in parts)]).tolist()
    judged = {
        s + query: grades for s, part in zip(starts, parts, strict=False) for query, grades in part.judged.items()
    }
    truth = Neighbours(
        np.concatenate([part.truth.ids for part in parts]), np.concatenate([part.truth.similarities for part in parts])
    )
    return ScoredQueries(np.concatenate([part.vectors for part in parts]), judged, truth)


def some(queries: ScoredQueries, most: int) -> ScoredQueries:
    """At most `most` of the judged queries, drawn once and for all, in their order."""
    judged = np.array(sorted(queries.judged), np.int64)
    drawn = np.sort(np.random.default_rng(_SEED).permutation(judged)[:most])
    truth = Neighbours(queries.truth.ids[drawn], queries.truth.similarities[drawn])
    return ScoredQueries(queries.vectors[drawn], {i: queries.judged[q] for i, q in enumerate(drawn.tolist())}, truth)


def _splits(folder: Path) -> set[str]:
    column = pq.read_table(folder / "queries.parquet", columns=["split"])["split"]
    return {str(value) for value in column.unique().to_pylist()}
