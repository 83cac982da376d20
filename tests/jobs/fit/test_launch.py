"""Training that fails: how often it is tried, and what is said of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray.train
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from adaptor.errors import RunError
from jobs.fit import command as fit
from jobs.fit import launch
from tests.jobs.fit.inputs import config, source


def die(_settings: dict[str, Any]) -> None:
    time.sleep(3)  # while workers still start, their death is the controller's failure
    os._exit(9)


def test_a_worker_that_always_dies_ends_the_run_in_one_line(
    tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "run_worker", die)
    # Workers have none of our modules: the function has to travel itself.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(RunError, match=r"^training failed after 0 restarts: worker 0: .*run again") as caught:
            fit.run(config(source(tmp_path / "source"), tmp_path / "out", cluster={"workers": 1, "max_failures": 0}))
    finally:
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "adaptor.json").exists()


def test_what_a_worker_raised_is_told_without_its_traceback() -> None:
    raised = UserExceptionWithTraceback(
        ValueError("no"), "Traceback (most recent call last):\n  File x\nValueError: no\n"
    )
    told = launch._what_failed(ray.train.WorkerGroupError("long", {1: raised, 0: raised}), 3)
    assert told.startswith("training failed after 3 restarts: worker 0: ValueError: no; see")
    told = launch._what_failed(ray.train.ControllerError(OSError("disk full")), 3)
    assert told.startswith("training could not be run (OSError: disk full); see")


def test_workers_that_die_while_they_start_are_not_started_for_ever(
    tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    class Told(Exception):
        pass

    def look(trainer: Any) -> None:
        limits.append(trainer.run_config.failure_config.controller_failure_limit)
        raise Told

    monkeypatch.setattr(TorchTrainer, "fit", look)
    with pytest.raises(Told):
        fit.run(config(source(tmp_path / "source"), tmp_path / "out"))
    assert limits == [29]


def test_evidence_asks_for_the_cores_of_one_worker(
    tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    options = fit._coded.options

    def look(num_cpus: float) -> Any:
        asked.append(num_cpus)
        return options(num_cpus=num_cpus)

    monkeypatch.setattr(fit._coded, "options", look)
    fit.run(config(source(tmp_path / "source"), tmp_path / "out", training={"steps": 0}, cluster={"workers": 2}))
    assert asked == [1]
