"""What a training step costs beside a plain loop over dims, and what a whole fit costs with one and two workers.

    python -m tests.benchmarks.fit [--steps 20] [--repeats 5] [--source URI | --made-up ROWSxDIM] [--workers 1 2]
        [--json FILE] [-- more arguments of matryoshka fit]

Step: the product's objective and, as its counterpart, the same loss the obvious way (for each dim: cut, normalise,
multiply, soft-max, cross-entropy; autograd does the rest), interleaved, same rows, one thread, seconds of CPU. Both
must give the same loss. With --source, `matryoshka fit` with default settings runs there with one and with two workers;
its own summary tells the steps, and the seconds of each phase. --made-up makes a source for it. One GPU and a sample of
a million rows:

    python -m tests.benchmarks.fit --repeats 0 --made-up 1000000x1536 --workers 1 -- --mining.sample_rows 1000000 \
        --cluster.gpus_per_worker 1 --cluster.cpus_per_worker 14
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adaptor.batches import AnchorRows, anchor_rows
from adaptor.model import Linear
from adaptor.objective import Objective, Trainee
from adaptor.settings import DIM_LADDER, LossSettings, ModelSettings, TrainingSettings
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_set import TrainingSet
from tests.benchmarks.sources import SourceShape, make_source_with_all_cores

LOSS, TRAINING = LossSettings(temperature=0.05), TrainingSettings()
#: Rows and dimension: the bundled set, and a large one.
SHAPES = ((5_000, 384), (100_000, 768))


def training_set(rows: int, input_dim: int) -> TrainingSet:
    """Unit rows with a falling spectrum and random neighbours: a step costs the same whatever they are."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((rows, input_dim), dtype=np.float32) * (np.arange(1, input_dim + 1) ** -0.5).astype(
        np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = draw.integers(0, rows, (rows, 10))
    return TrainingSet(
        corpus=vectors, anchors=rows, neighbours=near, held_out=vectors[:10], truth=near[:10], searched=rows
    )


def plain_loss(trainee: Trainee, corpus: Tensor, rows: AnchorRows) -> Tensor:
    """The objective as one would write it first."""
    anchors, candidates = corpus[torch.from_numpy(rows.anchors)], corpus[torch.from_numpy(rows.candidates)]
    if rows.noise is not None:
        anchors = anchors + torch.from_numpy(rows.noise)
    (left, scale), (right, _) = trainee(anchors), trainee(candidates)
    itself = torch.zeros(len(anchors), len(candidates), dtype=torch.bool)
    itself.view(-1)[torch.from_numpy(rows.self_pairs)] = True
    total = torch.zeros(())
    for number, dim in enumerate(rows.dims):
        full = functional.normalize(anchors) @ functional.normalize(candidates).T
        target = torch.softmax((full / LOSS.temperature).masked_fill(itself, -torch.inf), dim=1)
        short = functional.normalize(left[:, :dim]) @ functional.normalize(right[:, :dim]).T
        logs = torch.log_softmax((short * scale[number]).masked_fill(itself, -torch.inf), dim=1)
        match = torch.xlogy(target, target) - target * logs.masked_fill(itself, 0.0)
        total = total + match.sum(1).mean()
    return total


def _ours(objective: Objective, trainee: Trainee, corpus: Tensor) -> Callable[[AnchorRows], Tensor]:
    return lambda rows: objective(trainee, corpus, None, rows, None)


def compare_steps(shape: tuple[int, int], steps: int, repeats: int) -> dict[str, Any]:
    """CPU seconds of a step, ours and plain, in turn; and how far their losses are apart."""
    rows, input_dim = shape
    data, dims = training_set(rows, input_dim), tuple(w for w in DIM_LADDER if w <= input_dim)
    corpus = torch.from_numpy(data.corpus)
    sides: dict[str, tuple[Callable[[AnchorRows], Tensor], torch.optim.Adam]] = {}
    job = TrainingJob(data=data, model=ModelSettings(), loss=LOSS, training=TRAINING, metric="cosine", dims=dims)
    for name in ("ours", "plain"):
        trainee = Trainee(Linear(input_dim), dims, LOSS.temperature)
        objective = Objective(LOSS, "cosine")
        loss = _ours(objective, trainee, corpus) if name == "ours" else partial(plain_loss, trainee, corpus)
        sides[name] = loss, torch.optim.Adam(trainee.parameters(), lr=TRAINING.learning_rate)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    last = dict.fromkeys(sides, 0.0)
    for repeat in range(repeats + 1):
        for name, (loss, optimiser) in sides.items():
            began = time.thread_time()
            for step in range(repeat * steps, (repeat + 1) * steps):
                batch = anchor_rows(job, Stage.UNSUPERVISED, step)
                optimiser.zero_grad()
                value = loss(batch)
                torch.autograd.backward(value)
                optimiser.step()
                last[name] = float(value.detach())
            seconds[name].append((time.thread_time() - began) / steps)
    ratios = sorted(b / a for a, b in zip(seconds["ours"][1:], seconds["plain"][1:], strict=True))
    return {
        "case": "step",
        "rows": rows,
        "input_dim": input_dim,
        "dims": list(dims),
        **{f"{name}_cpu_ms": 1e3 * float(np.median(values[1:])) for name, values in seconds.items()},
        "ratio_median": float(np.median(ratios)),
        "ratio_spread": [ratios[0], ratios[-1]],
        "losses": last,
    }


def whole_fit(source: str, workers: int, more: list[str]) -> dict[str, Any]:
    """A fit in a process of its own, with default settings but for `more`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "jobs", "fit", "--source.uri", source, "--output.uri", folder, *more]
        began = time.perf_counter()
        subprocess.run([*command, "--cluster.workers", str(workers)], check=True, stdout=sys.stderr)
        seconds = time.perf_counter() - began
        summary = json.loads((Path(folder) / "summary.json").read_text())
    return {"case": "fit", "source": source, "workers": workers, **summary, "seconds": seconds}


@contextmanager
def made_up(size: str) -> Iterator[str]:
    """A source of ROWSxDIM made-up vectors, as long as it is wanted."""
    rows, input_dim = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        make_source_with_all_cores(
            Path(folder) / "source", SourceShape.even(rows, -(-rows // 32), input_dim, 10_000, "list")
        )
        yield f"{folder}/source"


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5, help="of the steps; 0: no steps")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--source")
    where.add_argument("--made-up", metavar="ROWSxDIM")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    parser.add_argument("more", nargs="*")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = [compare_steps(shape, given.steps, given.repeats) for shape in (SHAPES if given.repeats else ())]
    for found in results:
        print(
            f"{found['rows']:,} x {found['input_dim']}, {len(found['dims'])} dims: {found['ours_cpu_ms']:.1f} ms of "
            f"CPU a"
            f" step, a plain loop {found['plain_cpu_ms']:.1f}; ratio {found['ratio_median']:.2f} "
            f"[{found['ratio_spread'][0]:.2f}, {found['ratio_spread'][1]:.2f}]"
        )
    with made_up(given.made_up) if given.made_up else nullcontext(given.source) as source:
        for workers in given.workers if source else ():
            found = whole_fit(source, workers, given.more)
            results.append(found)
            phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in found["phases"].items())
            print(
                f"fit of {given.made_up or source}, {workers} workers: {found['seconds']:.1f} s "
                f"({phases}; {found['steps']} steps)"
            )
    print(json.dumps(results))
    if given.json:
        given.json.write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
