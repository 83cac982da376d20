"""Is the default recipe ever worse than PCA? Synthetic sources of every awkward kind, judged on rows that the fit never
saw.

    python -m tests.benchmarks.robustness [--cases few-rows,wide] [--seeds 0,1] [--output robustness.json]

The sources are made of the bundled vectors: mixtures of pairs of them (so that there are as many as wanted and none is
known), changed in awkward ways. 1,000 fresh rows search the sample and as many unseen rows; per dim the table shows
the change of overlap@10 against PCA, in points, with an asterisk where it is below zero by more than two standard
errors and half a point. The exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor, build
from adaptor.baselines import shorten
from adaptor.model import fold
from adaptor.neighbours import top_k
from adaptor.pca import moments, rotation
from adaptor.quality import overlap_at_k
from adaptor.rows import Floats, unit_rows
from adaptor.selection import Selection
from adaptor.settings import Metric
from adaptor.stages import outcome, train_stages
from jobs.config.fit import FitConfig
from jobs.fit.data import prepare
from jobs.fit.description import describe
from jobs.fit.sample import Sample
from tests.benchmarks.contest.product import SearchHere

FRESH, TOLERANCE = 1_000, 0.005
BUNDLED = Path(__file__).parents[1] / "data" / "scifact" / "corpus"


@dataclass(frozen=True)
class Case:
    """A source: rows of the sample, dimension, metric, and how the vectors are changed."""

    rows: int = 5_000
    input_dim: int = 384
    metric: Metric = "cosine"
    change: Callable[[Floats, np.random.Generator], Floats] = field(default=lambda vectors, draw: vectors)


def _common_mean(vectors: Floats, draw: np.random.Generator) -> Floats:
    shift = draw.normal(size=vectors.shape[1])
    return unit_rows((vectors + 2 * shift / np.linalg.norm(shift)).astype(np.float32))


def _lengths(vectors: Floats, draw: np.random.Generator) -> Floats:
    return (vectors * draw.lognormal(0, 0.5, (len(vectors), 1))).astype(np.float32)


def _near_duplicates(vectors: Floats, draw: np.random.Generator) -> Floats:
    copied = draw.choice(len(vectors), len(vectors) // 3, replace=False)
    vectors[copied] = vectors[draw.choice(len(vectors), len(copied))]
    return unit_rows((vectors + draw.normal(scale=1e-4, size=vectors.shape)).astype(np.float32))


def _truncatable(vectors: Floats, draw: np.random.Generator) -> Floats:
    return np.asarray(vectors @ rotation(moments(vectors, "cosine")))


def _no_structure(vectors: Floats, draw: np.random.Generator) -> Floats:
    return unit_rows(draw.normal(size=vectors.shape).astype(np.float32))


CASES = {
    "few rows": Case(rows=500),
    "plain": Case(),
    "many rows": Case(rows=15_000),
    "narrow": Case(input_dim=64),
    "768": Case(input_dim=768),
    "1,536": Case(input_dim=1536),
    "wide": Case(rows=4_000, input_dim=3072),
    "common mean": Case(change=_common_mean),
    "lengths, cosine": Case(change=_lengths),
    "lengths, dot": Case(metric="dot", change=_lengths),
    "lengths, l2": Case(metric="l2", change=_lengths),
    "near-duplicates": Case(change=_near_duplicates),
    "truncatable": Case(change=_truncatable),
    "no structure": Case(change=_no_structure),
}


def mixtures(rows: int, input_dim: int, draw: np.random.Generator) -> Floats:
    """Unit rows (n, d) made of pairs of the bundled vectors: cut to `input_dim` by a random projection, or padded up to
    it with noise of falling variance and turned at random."""
    table = pq.read_table(BUNDLED, columns=["vector"])["vector"].combine_chunks()
    known = table.flatten().to_numpy().reshape(len(table), -1)
    first, second = draw.integers(0, len(known), (2, rows))
    vectors = known[first] + draw.uniform(0, 0.7, (rows, 1)) * known[second]
    if input_dim <= vectors.shape[1]:
        turn = np.linalg.qr(draw.normal(size=(vectors.shape[1], input_dim)))[0]
    else:
        spectrum = 0.3 / np.sqrt(1 + np.arange(input_dim - vectors.shape[1]))
        vectors = np.hstack([vectors, draw.normal(size=(rows, len(spectrum))) * spectrum / 4])
        turn = np.linalg.qr(draw.normal(size=(input_dim, input_dim)))[0]
    return unit_rows((vectors @ turn).astype(np.float32))


def fit(vectors: Floats, metric: Metric, seed: int) -> tuple[Adaptor, Selection]:
    """The default recipe on a sample (n, d), as `matryoshka fit` does it, in this process."""
    config = FitConfig.model_validate(
        {
            "source": {"uri": "nowhere", "metric": metric},
            "output": {"uri": "nowhere"},
            "training": {"seed": seed},
        }
    )
    sample = Sample(
        ids=[str(row) for row in range(len(vectors))],
        vectors=vectors,
        moments=moments(vectors, metric),
        left_out=[],
        source_rows=len(vectors),
    )
    prepared = prepare(config, sample, None, SearchHere(metric), lambda text: None)
    state = train_stages(prepared.job, None)
    selection = outcome(state, prepared.job)
    description = describe(config, sample, prepared, selection, state)
    return build(description, fold(selection.module, prepared.basis, selection.head), prepared.pca), selection


def validate(adaptor: Adaptor, corpus: Floats, fresh: Floats) -> list[dict[str, Any]]:
    """Per dim: overlap@10 of PCA, and the adaptor's mean change and its standard error over fresh rows."""
    numbers = np.arange(len(corpus), dtype=np.int64)
    truth, records = top_k(fresh, corpus, numbers, 10, adaptor.metric).ids, []
    for dim in adaptor.dims:
        scores = {}
        for method in ("pca", "adaptor"):
            asked, searched = (shorten(adaptor, method, rows, dim) for rows in (fresh, corpus))
            scores[method] = overlap_at_k(truth, top_k(asked, searched, numbers, 10, adaptor.metric).ids, 10)
        change = scores["adaptor"] - scores["pca"]
        error = float(change.std() / np.sqrt(len(change)))
        records.append(
            {
                "dim": dim,
                "pca": float(scores["pca"].mean()),
                "change": float(change.mean()),
                "error": error,
                "worse": bool(change.mean() + 2 * error < -TOLERANCE),
            }
        )
    return records


def run(name: str, seed: int) -> list[dict[str, Any]]:
    """One case: prints its line, gives its records."""
    case, draw, began = CASES[name], np.random.default_rng([seed, 77]), time.perf_counter()
    vectors = case.change(mixtures(2 * case.rows + FRESH, case.input_dim, draw), draw)
    sample, corpus, fresh = vectors[: case.rows], vectors[: 2 * case.rows], vectors[2 * case.rows :]
    fitted, selection = fit(sample, case.metric, seed)
    records = validate(fitted, corpus, fresh)
    cells = (f"{r['dim']}: {100 * r['change']:+.1f}{'*' if r['worse'] else ''}" for r in records[:-1])
    notes = "".join(f"\n    {note}" for note in selection.notes)
    print(
        f"{name:16} {case.rows:6,} x {case.input_dim:<5,} seed {seed} | {'  '.join(cells)} | "
        f"{time.perf_counter() - began:.0f} s{notes}",
        flush=True,
    )
    return [{"case": name, "seed": seed, "rows": case.rows, "input_dim": case.input_dim, **r} for r in records]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(name.replace(",", "") for name in CASES), help="names, by comma")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--output", type=Path, default=None, help="write the records there, as JSON")
    given = parser.parse_args(arguments)
    plain = {name.replace(",", ""): name for name in CASES}
    records = [
        r for name in given.cases.split(",") for seed in given.seeds.split(",") for r in run(plain[name], int(seed))
    ]
    if given.output is not None:
        given.output.write_text(json.dumps(records, indent=1))
    worse = sum(r["worse"] for r in records)
    print(f"{len(records)} dims of {len({(r['case'], r['seed']) for r in records})} fits; worse than PCA at {worse}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
