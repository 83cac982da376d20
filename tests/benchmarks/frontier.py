"""Search quality against bytes a vector: our codes, the same codes on PCA, and faiss's, in one run at the same bytes.

    python -m tests.benchmarks.frontier --data DIR --output DIR [--sets scifact …] [--methods ours 'faiss PQ' …]
        [--seeds 3] [--budgets 32 64 …] [--queries 1000] [--quick] [--threads N] [--report]

DIR holds sets as `quality` reads them. Each method offers pairs of dim and encoding for a budget of bytes. The pair is
chosen on queries of splits train and dev, and reported on split test. What is done is kept under OUTPUT/codes, fits
under OUTPUT/kept, as `quality` has them: a second run does the rest, and both benchmarks may share a folder. Writes
frontier.json (records of every pair), chosen.json (records of the chosen ones, by budget), frontier.md and curves.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import faiss
import torch

from tests.benchmarks.contest.asked import Asked, asked
from tests.benchmarks.contest.codes import CodeMethod, budgets
from tests.benchmarks.contest.faiss_codes import FAISS
from tests.benchmarks.contest.frontier_report import write_frontier
from tests.benchmarks.contest.frontier_runs import Task
from tests.benchmarks.contest.learned_rotations import LEARNED_ROTATIONS
from tests.benchmarks.contest.product_codes import OPTIONAL, PRODUCT
from tests.benchmarks.contest.sets import load, present

METHODS: dict[str, CodeMethod] = PRODUCT | LEARNED_ROTATIONS | FAISS
QUICK_METHODS = ["PCA, float16", "PCA, same codes", "faiss SQ4", "faiss RaBitQ"]


def main() -> int:
    """Run what is missing, then write the report of all that is there."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    faiss.omp_set_num_threads(given.threads)
    contestants = METHODS | OPTIONAL
    names = given.methods or [*METHODS]
    if unknown := [name for name in names if name not in contestants]:
        print(f"no such method: {', '.join(unknown)}; there are {', '.join(contestants)}", file=sys.stderr)
        return 2
    folders = present(given.data, given.sets)
    if not folders:
        print(f"no sets in {given.data}", file=sys.stderr)
        return 2
    sets = [asked(load(name, folder), folder, given.queries) for name, folder in folders.items()]
    tasks = [task for there in sets for task in _tasks(there, {name: contestants[name] for name in names}, given)]
    if not given.report:
        for task in sorted(tasks, key=lambda task: task.seed):
            task.run()
    write_frontier(given.output, tasks, sets, " ".join(sys.argv[1:]))
    return 0


def _tasks(there: Asked, methods: dict[str, CodeMethod], given: argparse.Namespace) -> list[Task]:
    return [
        Task(given.output, there, name, method, seed, _budgets(there, given))
        for seed in range(given.seeds)
        for name, method in methods.items()
        if seed == 0 or method.seeds
    ]


def _budgets(there: Asked, given: argparse.Namespace) -> list[int]:
    every = budgets(there.there.vectors.shape[1], not given.targets)
    return [budget for budget in every if not given.budgets or budget in given.budgets]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    parser.add_argument("--output", type=Path, default=Path("quality"), help="where results are kept and written")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="default: all that are there")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="default: all but those with a log or labels")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 … of the methods in which chance plays a part")
    parser.add_argument("--budgets", type=int, nargs="+", metavar="BYTES", help="only these of a set's budgets")
    parser.add_argument("--targets", action="store_true", help="only 12, 24 and 48 times smaller than float32")
    parser.add_argument(
        "--queries", type=int, default=1000, help="queries at most, for choosing and for reporting each"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="minutes: the demo, four methods, one seed")
    parser.add_argument("--report", action="store_true", help="run nothing, report what is there")
    given = parser.parse_args()
    if given.quick:
        given.sets, given.methods, given.seeds, given.targets = ["demo"], QUICK_METHODS, 1, True
    return given


if __name__ == "__main__":
    sys.exit(main())
