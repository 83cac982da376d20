"""Starts training on Ray workers, shows how it goes, and brings back the best weights."""

from __future__ import annotations

from pathlib import Path

import ray
import ray.train
from ray.exceptions import RayActorError
from ray.train.torch import TorchTrainer

from adaptor.errors import RunError
from adaptor.stages import planned_steps
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_state import TrainingState, load_state
from cluster.session import room_for_workers
from cluster.settings import ClusterSection
from jobs.fit.progress_actor import start_progress_actor, watched
from jobs.fit.worker import Assignment, run_worker
from jobs.runtime.progress import Progress
from jobs.storage.objects import Objects

WORK = "_work"
#: How often starting the workers is tried. Ray Train waits a minute for machines each time, so this is half an hour of
#: waiting; without a limit, workers that die while they start would be started for ever.
_STARTS = 30


def train_on_cluster(
    job: TrainingJob, cluster: ClusterSection, output: Objects, work: str, progress: Progress
) -> TrainingState:
    """Train on the cluster, with checkpoints in the folder `work` of the output; the state in which training ended.
    Raises RunError when it fails."""
    planned = planned_steps(job)
    if not planned:
        progress.note(
            "nothing to train: no steps asked for, or no dim that the module can change; the adaptor is its start"
        )
        return TrainingState(stage=Stage.UNSUPERVISED)
    if any("checkpoint_" in info.key for info in output.list(f"{work}/")):
        progress.note("an unfinished run of this fit is there: training continues from its last checkpoint")
    progress.total = sum(planned.values())
    progress_actor = start_progress_actor()
    trainer = _trainer(Assignment(ray.put(job), cluster.cpus_per_worker, progress_actor), cluster, output, work)
    with watched(progress_actor, progress, cluster.stalled_seconds):
        checkpoint = _last_checkpoint(trainer, cluster.max_failures)
    try:
        with checkpoint.as_directory() as folder:
            return load_state(Path(folder))
    except OSError as failure:
        raise RunError(
            f"the last checkpoint could not be fetched ({failure}): run again, training is done"
        ) from failure


def work_folder(fingerprint: str) -> str:
    """Where below the output Ray Train keeps the checkpoints of this fit. It goes past `Objects`: check it before."""
    return f"{WORK}/{fingerprint[:32]}"


def _last_checkpoint(trainer: TorchTrainer, max_failures: int) -> ray.train.Checkpoint:
    """Run the training to its end."""
    try:
        result = trainer.fit()
    except ray.train.TrainingFailedError as failure:
        raise RunError(_what_failed(failure, max_failures)) from failure
    except RayActorError as failure:  # the controller: it could not reach the storage, or its process died
        reason = str(failure).strip().splitlines()[-1]
        raise RunError(f"training was cut off ({reason}): run again to continue from the last checkpoint") from failure
    if result.checkpoint is None:
        raise RunError("training ended without a checkpoint; see the Ray Train logs of this session and run again")
    checkpoint: ray.train.Checkpoint = result.checkpoint
    return checkpoint


def _trainer(assignment: Assignment, cluster: ClusterSection, output: Objects, work: str) -> TorchTrainer:
    return TorchTrainer(
        run_worker,
        train_loop_config={"assignment": assignment},
        scaling_config=ray.train.ScalingConfig(
            num_workers=room_for_workers(cluster),
            use_gpu=cluster.gpus_per_worker > 0,
            resources_per_worker={"CPU": cluster.cpus_per_worker, **_gpus(cluster.gpus_per_worker)},
        ),
        run_config=ray.train.RunConfig(
            name=work.rpartition("/")[2],
            storage_filesystem=output.arrow,
            storage_path=output.path(WORK),
            failure_config=ray.train.FailureConfig(
                max_failures=cluster.max_failures,
                controller_failure_limit=_STARTS - 1,  # type: ignore[call-arg]  # mypy sees the class of Train's old API
            ),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )


def _gpus(count: float) -> dict[str, float]:
    return {"GPU": count} if count else {}


def _what_failed(failure: Exception, restarts: int) -> str:
    """One paragraph: Ray's own text holds the whole traceback of every worker, which stays in its logs."""
    hint = "see the Ray Train logs of this session (logs/train) and run again to continue from the last checkpoint"
    if isinstance(failure, ray.train.WorkerGroupError):
        rank, reason = min(failure.worker_failures.items(), default=(0, failure))
        return f"training failed after {restarts} restarts: worker {rank}: {_last_line(reason)}; {hint}"
    if isinstance(failure, ray.train.ControllerError):
        return f"training could not be run ({_last_line(failure.controller_failure)}); {hint}"
    return f"training failed: {_last_line(failure)}; {hint}"


def _last_line(reason: BaseException) -> str:
    # What a worker raised arrives as its whole traceback in text, of which the last line is the exception.
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    is_traceback = bool(lines) and lines[0].startswith("Traceback")
    return lines[-1] if is_traceback else f"{type(reason).__name__}: {lines[0] if lines else 'no reason given'}"
