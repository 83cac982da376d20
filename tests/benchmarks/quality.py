"""Search quality of every method at every dim, on every set, with several seeds: the table in adaptor/README.md.

    python -m tests.benchmarks.quality --data DIR --output DIR [--sets scifact …] [--methods default pca …]
        [--seeds 3] [--dims 16 32 …] [--quick] [--threads N] [--report]

DIR holds sets as folders with corpus/*.parquet, queries.parquet and qrels.parquet (ids, vectors, a split column);
absent ones are skipped, and without SciFact the bundled copy (`demo`) stands in. Sets may differ in dimension: each is
measured at the dims below its own, and at all of them. Methods learn from the corpus and,
where they learn from judgments, from split train; split test is only scored. What is done is kept under OUTPUT/kept, so
a second run does the rest; delete a folder there to do it again. Writes quality.json (records as in metrics.json, plus
the seed), quality.md, comparisons.json, proxies.json and curves as SVG and PNG.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from tests.benchmarks.contest.ablation import VARIANTS
from tests.benchmarks.contest.kept import Place, place
from tests.benchmarks.contest.methods import METHODS, Method
from tests.benchmarks.contest.report import Facts, write_report
from tests.benchmarks.contest.results import Run, original
from tests.benchmarks.contest.scores import QueryScores, score
from tests.benchmarks.contest.sets import SearchSet, load, present

DIMS = (16, 32, 48, 64, 96, 100, 128, 192, 200, 256, 384, 512, 768)
QUICK_SETS, QUICK_METHODS, QUICK_WIDTHS = ["demo"], ["truncation", "pca", "default"], (16, 32, 64, 128)


def main() -> int:
    """Run what is missing, then write the report of all that is there."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    contestants = METHODS | VARIANTS
    names = given.methods or [*METHODS]
    if unknown := [name for name in names if name not in contestants]:
        print(f"no such method: {', '.join(unknown)}; there are {', '.join(contestants)}", file=sys.stderr)
        return 2
    folders = present(given.data, given.sets)
    if absent := [name for name in given.sets or () if name not in folders]:
        print(f"skipped, not in {given.data}: {', '.join(absent)}", file=sys.stderr)
    if not folders:
        return 2
    sets = {name: load(name, folder) for name, folder in folders.items()}
    if not given.report:
        for seed in range(given.seeds):
            for there in sets.values():
                for method in names:
                    if seed == 0 or contestants[method].seeds:
                        _run(there, method, contestants[method], seed, given)
    runs = _gather(sets, {name: contestants[name] for name in names}, given)
    facts = [Facts.of(there) for there in sets.values()]
    write_report(given.output, runs, facts, {name: contestants[name] for name in names}, " ".join(sys.argv[1:]))
    return 0


def _run(there: SearchSet, name: str, method: Method, seed: int, given: argparse.Namespace) -> None:
    """Fit and score one method on one set, as far as it is not done."""
    kept = place(given.output / "kept", there.name, name, seed, method.key())
    label = f"{time.strftime('%H:%M:%S')} {there.name}: {name}, seed {seed}"
    maps = kept.maps()
    if maps is None:
        print(f"{label}: fitting …", flush=True)
        began, cpu = time.monotonic(), time.process_time()
        maps = method.fit(there, seed)
        seconds = {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}
        kept.keep_maps(maps, {"method": name, "settings": method.settings, **seconds})
    dims = _dims(there, given)
    missing = [dim for dim in dims if kept.scores(dim) is None]
    found = score(there, maps, missing)
    for dim, scores in found.items():
        kept.keep_scores(dim, scores)
    if found:
        took = kept.facts()["cpu_seconds"]
        print(f"{label}: {took:.0f} CPU-s to fit; nDCG@10 {_line(kept, dims)}", flush=True)


def _dims(there: SearchSet, given: argparse.Namespace) -> list[int]:
    """The dims of a set: those that are wanted and below its own, and its own unless a choice leaves it out."""
    full = int(there.vectors.shape[1])
    return [dim for dim in given.dims if dim < full] + [full] * (given.dims == DIMS or full in given.dims)


def _line(kept: Place, dims: list[int]) -> str:
    found = {dim: kept.scores(dim) for dim in dims}
    return "  ".join(f"{w}: {s['ndcg@10'].mean():.3f}" for w, s in found.items() if s is not None)


def _gather(sets: dict[str, SearchSet], methods: dict[str, Method], given: argparse.Namespace) -> list[Run]:
    """All runs that are complete, of the methods and dims that were asked for."""
    runs = []
    for name, there in sets.items():
        dims = _dims(there, given)
        for method, contestant in methods.items():
            for seed in range(given.seeds):
                kept = place(given.output / "kept", name, method, seed, contestant.key())
                found = {dim: kept.scores(dim) for dim in dims}
                scores: dict[int, QueryScores] = {w: s for w, s in found.items() if s is not None}
                if len(scores) == len(dims):
                    runs.append(Run(name, method, seed, scores))
        runs += original(runs, name, there.vectors.shape[1])
    return runs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    parser.add_argument("--output", type=Path, default=Path("quality"), help="where results are kept and written")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="names of folders, demo; default: those of sets.py")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="default: all but the ablation's variants")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 … of the methods in which chance plays a part")
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS, help="default: many, and the full one")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of one fit")
    parser.add_argument("--quick", action="store_true", help="minutes: the demo, three methods, four dims, one seed")
    parser.add_argument("--report", action="store_true", help="run nothing, report what is there")
    given = parser.parse_args()
    if given.quick:
        given.sets, given.methods, given.seeds = QUICK_SETS, QUICK_METHODS, 1
        given.dims = QUICK_WIDTHS
    given.dims = tuple(sorted({*given.dims}))
    return given


if __name__ == "__main__":
    sys.exit(main())
