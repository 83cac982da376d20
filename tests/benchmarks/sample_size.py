"""How good are advise's estimates from a sample? Against the exact values of the whole source.

    python -m tests.benchmarks.sample_size SET=FOLDER,ARTEFACT [...] [--shares 0.125 0.25 0.5] [--seeds 3] [--json OUT]

FOLDER holds `corpus/`, `queries.parquet` and `qrels.parquet` (split `test`), ARTEFACT is what fit wrote for it. Runs
the product's own sampling, search, extrapolation and intervals, and prints for every measure: the error of the value on
the sample, the error of the extrapolated estimate, its highest, and how often the truth is at or above the lower end
that advise decides by (97.5% wanted). Errors are means over methods, dims below the full one and seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray

from adaptor.artefact import load
from adaptor.baselines import ORIGINAL
from jobs.advise.estimates import combine, estimate
from jobs.advise.measure import Measurement, measure
from jobs.config.advise import AdviseConfig
from jobs.runtime.progress import Progress
from jobs.search.context import open_context

_EVERY_ROW, _SAMPLED_QUERIES = 1_000_000, 4_000


def measured(folder: Path, artefact: str, judged: bool, progress: Progress, **advising: Any) -> Measurement:
    """What advise would measure; with queries and judgments, or with rows of the source."""
    tables = {name: {"uri": str(folder / f"{name}.parquet"), "split": "test"} for name in ("queries", "qrels")}
    config = AdviseConfig.model_validate(
        {"source": {"uri": str(folder / "corpus")}, "adaptor": {"uri": artefact}, "output": {"uri": "unused"}}
        | {"advising": {"encodings": [], **advising}}
        | (tables if judged else {})
    )
    context = open_context(config, config.advising, "advising", with_trained=True)
    return measure(context, config.advising, progress)


def errors(folder: Path, artefact: str, judged: bool, shares: list[float], seeds: int) -> Iterator[dict[str, Any]]:
    """One record per share of rows, seed, column and measure."""
    with Progress("whole") as progress:
        whole = measured(folder, artefact, judged, progress, sample_rows=_EVERY_ROW, sampled_queries=_SAMPLED_QUERIES)
        truth = {(c, m): float(s.mean()) for c, by_metric in whole.curves[0].items() for m, s in by_metric.items()}
        for share in shares:
            for seed in range(1, seeds + 1):
                rows = int(share * whole.source_rows)
                part = measured(folder, artefact, judged, progress, sample_rows=rows, seed=seed)
                estimates = combine([estimate(scores, 400, seed) for scores in part.curves])
                own = {m: sample.scores for sample in part.samples for m in next(iter(sample.scores.values()))}
                for (column, metric), value in estimates.absolute.items():
                    if column.method == ORIGINAL or column.dim == load(artefact).input_dim:
                        continue
                    yield {
                        "share": share,
                        "seed": seed,
                        "method": column.method,
                        "dim": column.dim,
                        "metric": metric,
                        "truth": truth[column, metric],
                        "sample": float(own[metric][column][metric].mean()),
                        "estimate": value.value,
                        "low": value.ci_low,
                        "high": value.ci_high,
                    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.125, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    records = []
    print(f"{'set':10} {'measure':12} {'share':>6} {'sample':>8} {'estimate':>9} {'worst':>7} {'truth >= low':>13}")
    for spec in given.sets:
        name, _, places = spec.partition("=")
        folder, artefact = places.split(",")
        for judged in (False, True):
            found = list(errors(Path(folder), artefact, judged, given.shares, given.seeds))
            wanted = ("ndcg@10", "recall@100") if judged else ("overlap@10", "overlap@100")
            for metric in wanted:
                for share in given.shares:
                    some = [r for r in found if (r["metric"], r["share"]) == (metric, share)]
                    off = np.array([r["estimate"] - r["truth"] for r in some])
                    plain = np.mean([r["sample"] - r["truth"] for r in some])
                    covered = np.mean([r["truth"] >= r["low"] for r in some])
                    numbers = f"{plain:+8.3f} {off.mean():+9.3f} {off.max():+7.3f} {covered:13.1%}"
                    print(f"{name:10} {metric:12} {share:6.3f} {numbers}", flush=True)
            records += [{"set": name, "judged": judged, **r} for r in found]
    if given.json:
        given.json.write_text(json.dumps(records))


if __name__ == "__main__":
    main()
