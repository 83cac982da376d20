"""`matryoshka fit`: learn an adaptor from a sample of the store.

In jobs/fitting/: list and sample the store (sample.py) → PCA, mining, labels (data.py, search.py, labels.py) → train on
Ray workers (worker.py). Here: measure the evidence → write the artefact, its description last.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchTrainer

from adaptor.artefact import DOCUMENT, FILES, Adaptor, Floats, build, from_files
from adaptor.errors import InputError, RunError
from adaptor.evidence import evidence
from adaptor.model import Form, fold, free_widths, freed, new_form
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.settings import WIDTH_LADDER
from adaptor.training import State
from cluster.session import connect
from jobs.config.commands import FitConfig
from jobs.config.loader import resolved
from jobs.fitting.data import Prepared, prepare
from jobs.fitting.evidence_table import print_evidence
from jobs.fitting.sample import Sample, draw, read_footers
from jobs.fitting.worker import Assignment, Board, load_state, run_worker
from jobs.progress import Progress
from jobs.store.dimension import dimension
from jobs.store.objects import Objects, open_objects
from jobs.store.shards import Shard, list_shards
from jobs.summary import versions, write_summary

_WORK = "_work"
#: Settings that cannot change the adaptor, only how fast or how safely it is made.
_WITHOUT_EFFECT = {"mining": {"shards"}, "training": {"checkpoint_seconds"}}


def run(config: FitConfig) -> int:
    """Fit and write the artefact; exit status 0. A second run with the same config and store has nothing to do."""
    began = time.time()
    store = open_objects(config.store.uri, config.store.filesystem)
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    shards = list_shards(store)
    fingerprint = _fingerprint(config, shards)
    if (done := _finished(output, fingerprint)) is not None:
        print(f"nothing to do: {config.output.uri} holds adaptor {done.adaptor_id[:16]} of this config and store")
        return 0
    with connect(config.cluster, need_cpus=config.cluster.workers * config.cluster.cpus_per_worker):
        adaptor, sample, state = _fit(config, shards, output, fingerprint)
    files = adaptor.to_files()
    # The description goes last: a folder without it is not an artefact.
    for name in sorted(FILES, key=lambda name: name == DOCUMENT):
        output.put(name, files[name])
    output.put("config.json", resolved(config).encode())
    for left in list(output.list(f"{_WORK}/")):
        output.delete(left.key)
    numbers = {
        "adaptor_id": adaptor.adaptor_id,
        "rows": sample.store_rows,
        "sampled_rows": len(sample.vectors),
        "left_out_rows": len(sample.left_out),
        "shards": len(shards),
        "input_bytes": sum(s.size for s in shards),
        "steps": state.step,
        "best_step": state.best_step,
    }
    write_summary(output, "fit", numbers, began)
    print_evidence(adaptor, sys.stdout)
    print(f"adaptor {adaptor.adaptor_id[:16]} written to {config.output.uri} ({time.time() - began:.0f} s)")
    return 0


def _finished(output: Objects, fingerprint: str) -> Adaptor | None:
    """The finished artefact of this very fit; None when there is none. Refuses a folder that holds another one."""
    if output.stat(DOCUMENT) is None:
        return None
    adaptor = from_files({n: output.read(n, limit=1 << 30) for n in FILES if output.stat(n) is not None}, output.uri)
    if adaptor.document["data"]["fingerprint"] == fingerprint:
        return adaptor
    raise InputError(
        f"output.uri {output.uri} holds adaptor {adaptor.adaptor_id[:16]}, fitted with another config "
        "or on another state of the store; give a new output.uri, or delete the folder first"
    )


def _fingerprint(config: FitConfig, shards: list[Shard]) -> str:
    listing = [(s.key, s.size, s.version) for s in shards]
    settings = config.model_dump(mode="json", exclude={**_WITHOUT_EFFECT, "cluster": True, "output": True})
    return hashlib.sha256(json.dumps([settings, listing], sort_keys=True).encode()).hexdigest()


def _fit(config: FitConfig, shards: list[Shard], output: Objects, fingerprint: str) -> tuple[Adaptor, Sample, State]:
    stages = [config.training.steps, config.training.supervised_steps if config.queries is not None else 0]
    with Progress("fit", total=sum(stages), unit="steps", rates=("steps",)) as progress:
        footers = read_footers(config.store, shards)
        dim = dimension(config.store, shards, footers)
        widths = _widths(config, dim)
        sample = draw(config, shards, footers, dim)
        progress.note(
            f"sampled {len(sample.vectors):,} of {sample.store_rows:,} rows in {len(shards):,} shards, d = {dim}"
            + (f"; left out {len(sample.left_out):,} unusable rows" if sample.left_out else "")
        )
        if doubled := len(sample.ids) - len(set(sample.ids)):
            progress.note(f"warning: {doubled:,} rows of the sample repeat an id")
        prepared = prepare(config, shards, sample, progress.note)
        form, state = _train(config, prepared, widths, output, fingerprint, progress)
        described = _describe(config, sample, widths, state, fingerprint)
        tensors = fold(form, prepared.start, prepared.scale)
        progress.note("measuring the evidence on held-out rows")
        fitted = ray.get(
            _with_evidence.options(num_cpus=config.cluster.workers * config.cluster.cpus_per_worker).remote(
                described, tensors, prepared.pca, prepared.held_out, prepared.searched
            )
        )
    return fitted, sample, state


def _widths(config: FitConfig, dim: int) -> tuple[int, ...]:
    if config.adaptor.widths is None:
        return (*(w for w in WIDTH_LADDER if w < dim), dim)
    if config.adaptor.widths[-1] > dim:
        raise InputError(
            f"adaptor.widths: {config.adaptor.widths[-1]} is more than the store's dimension {dim} "
            f"({config.store.uri}); give widths up to {dim}"
        )
    return config.adaptor.widths


def _train(
    config: FitConfig,
    prepared: Prepared,
    widths: tuple[int, ...],
    output: Objects,
    fingerprint: str,
    progress: Progress,
) -> tuple[Form, State]:
    """Train on the cluster; the form with its best weights, and where training ended."""
    form = new_form(config.adaptor, prepared.data.corpus.shape[1], config.training.seed)
    if prepared.data.supervision is None and not (config.training.steps and free_widths(form, widths)):
        progress.note(
            "nothing to train: no steps asked for, or no width that the form can change; the adaptor is its start"
        )
        return form, State(stage=1)
    cluster, board = config.cluster, ray.remote(num_cpus=0)(Board).remote()
    assignment = Assignment(
        ray.put(prepared.data),
        config.adaptor,
        config.loss,
        config.training,
        config.store.metric,
        widths,
        cluster.cpus_per_worker,
        board,
    )
    trainer = TorchTrainer(
        run_worker,
        train_loop_config={"assignment": assignment},
        scaling_config=ray.train.ScalingConfig(
            num_workers=cluster.workers,
            use_gpu=cluster.gpus_per_worker > 0,
            resources_per_worker={"CPU": cluster.cpus_per_worker, **_gpus(cluster.gpus_per_worker)},
        ),
        run_config=ray.train.RunConfig(
            name=fingerprint[:32],
            storage_filesystem=output.arrow,
            storage_path=output.path(_WORK),
            failure_config=ray.train.FailureConfig(max_failures=cluster.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    if any(True for _ in output.list(f"{_WORK}/{fingerprint[:32]}/")):
        progress.note("an unfinished run of this fit is there: training continues from its last checkpoint")
    with _shown(board, progress, config.training.steps):
        try:
            result = trainer.fit()
        except ray.train.TrainingFailedError as failure:
            raise RunError(f"training failed after {cluster.max_failures} restarts: {failure}") from failure
    if result.checkpoint is None:
        raise RunError("training ended without a checkpoint; see the Ray Train logs of this session and run again")
    with result.checkpoint.as_directory() as folder:
        state = load_state(Path(folder))
    form = freed(form, prepared.data.corpus.shape[1]) if state.stage == 2 else form
    best = {k.removeprefix("best.form."): v for k, v in state.tensors.items() if k.startswith("best.form.")}
    form.load_state_dict(best)
    return form, state


def _gpus(count: float) -> dict[str, float]:
    return {"GPU": count} if count else {}


@contextmanager
def _shown(board: Any, progress: Progress, first_stage: int) -> Iterator[None]:
    """Show the first worker's looks while the block runs; the second stage counts on from `first_stage` steps."""
    ended = threading.Event()

    def poll() -> None:
        done, begun = 0, False
        while not ended.wait(0.5):
            last = ray.get(board.read.remote())
            if not last:
                continue
            progress.set(stage=last["stage"], loss=last["loss"], held_out=last["score"], best=last["best_score"])
            if not begun:
                progress.begin()
                begun = True
            step = int(last["step"]) + (first_stage if last["stage"] == 2 else 0)
            progress.advance(max(0, step - done))
            done = max(done, step)

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _describe(
    config: FitConfig, sample: Sample, widths: tuple[int, ...], state: State, fingerprint: str
) -> dict[str, Any]:
    found = sample.moments
    sections = {"adaptor", "loss", "training", "mining"}
    mean = found.total / found.rows
    return {
        "dim": len(mean),
        "widths": list(widths),
        "metric": config.store.metric,
        "form": "linear" if config.queries is not None and config.adaptor.form == "orthogonal" else config.adaptor.form,
        "unit_input": bool(abs(found.shortest - 1) < 1e-3 and abs(found.longest - 1) < 1e-3),
        "recipe": {"name": config.adaptor.recipe, "version": RECIPE_VERSIONS[config.adaptor.recipe]},
        "settings": config.model_dump(mode="json", include=sections, exclude=_WITHOUT_EFFECT),
        "supervised": config.queries is not None,
        "held_out_score": {
            "stage": state.stage,
            "start": _number(state.first_score),
            "best": _number(state.best_score),
        },
        "data": {"fingerprint": fingerprint, "store_rows": sample.store_rows, "sampled_rows": found.rows},
        "statistics": {
            "mean_length": round(float((mean @ mean) ** 0.5), 6),
            "shortest": round(found.shortest, 6),
            "longest": round(found.longest, 6),
        },
        "versions": versions(),
    }


def _number(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None


@ray.remote
def _with_evidence(
    description: dict[str, Any], tensors: dict[str, Floats], pca: Floats, held_out: Floats, searched: Floats
) -> Adaptor:
    bare = build(description, tensors, pca)
    return build({**description, "evidence": evidence(bare, held_out, searched)}, tensors, pca)
