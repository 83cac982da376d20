"""A set to compare on: the corpus, the labelled queries that may be learned from, and the test queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from adaptor.neighbours import Neighbours, top_k
from adaptor.rows import Floats, Ids
from jobs.config.sections import QrelsSection, QueriesSection
from jobs.fit.labels import Labelled, relevant_documents
from jobs.search.judgments import judged_documents, match_judgments
from jobs.search.scoring import DEPTH
from jobs.sources.queries import Queries, read_qrels, read_queries
from jobs.sources.vectors import decode

ROOT = Path(__file__).resolve().parents[3]
#: SciFact in half precision, as it ships with the clone.
DEMO = ROOT / "tests" / "data" / "scifact"
#: Sets that are looked for when none is named.
NAMES = ("scifact", "nfcorpus", "medquad", "xquad_r_e5", "scifact_mpnet", "scifact_wordllama", "demo")


@dataclass(frozen=True)
class ScoredQueries:
    """Queries (q, d) of the test split, the judgments of each by row of the corpus, and its true neighbours at full
    dim."""

    vectors: Floats
    judged: dict[int, dict[int, int]]
    truth: Neighbours


@dataclass(frozen=True)
class SearchSet:
    """Corpus ids and vectors (n, d), what may be learned from (`labelled`, split train), and what is scored (split
    test)."""

    name: str
    ids: list[str]
    vectors: Floats
    labelled: Labelled
    test: ScoredQueries

    @property
    def rows(self) -> Ids:
        """The row numbers of the corpus."""
        return np.arange(len(self.ids), dtype=np.int64)


def present(data: Path, wanted: list[str]) -> dict[str, Path]:
    """The folders of the wanted sets that exist; with none named, all that exist (the demo only where SciFact is
    absent)."""
    folders = {name: DEMO if name == "demo" else data / name for name in wanted or NAMES}
    there = {name: folder for name, folder in folders.items() if (folder / "qrels.parquet").is_file()}
    if not wanted and "scifact" in there:
        there.pop("demo", None)
    return there


def load(name: str, folder: Path) -> SearchSet:
    """Read a set, with exact neighbours of its test queries."""
    ids, parts = [], []
    for file in sorted((folder / "corpus").glob("*.parquet")):
        table = pq.read_table(file)
        ids += [str(value) for value in table["id"].to_pylist()]
        parts.append(decode(table["vector"], None).vectors)
    vectors = np.concatenate(parts)
    place = {name: row for row, name in enumerate(ids)}
    queries, qrels = split_of(folder, "train")
    documents = {d: vectors[place[d]] for d in relevant_documents(queries.ids, qrels) & place.keys()}
    labelled = Labelled(name=str(folder), queries=queries, qrels=qrels, documents=documents)
    return SearchSet(name, ids, vectors, labelled, scored(*split_of(folder, "test"), place, vectors))


def scored(
    queries: Queries, qrels: Mapping[str, Mapping[str, int]], place: Mapping[str, int], vectors: Floats
) -> ScoredQueries:
    """Queries with their judgments by row of the corpus (`place`: id → row) and their exact neighbours in it."""
    rows = {d: [place[d]] for d in judged_documents(qrels, queries.ids) if d in place}
    judged = match_judgments(qrels, queries.ids, rows)
    truth = top_k(queries.vectors, vectors, np.arange(len(vectors), dtype=np.int64), DEPTH, "cosine")
    return ScoredQueries(queries.vectors, judged.grades, truth)


def sections(folder: Path, split: str) -> tuple[QueriesSection, QrelsSection]:
    """The configuration that names queries and judgments of a split."""
    queries, qrels = folder / "queries.parquet", folder / "qrels.parquet"
    return QueriesSection(uri=str(queries), split=split), QrelsSection(uri=str(qrels), split=split)


def split_of(folder: Path, split: str) -> tuple[Queries, dict[str, dict[str, int]]]:
    queries, qrels = sections(folder, split)
    return read_queries(queries, None), read_qrels(qrels)
