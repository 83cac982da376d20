"""The watch over training: it ends what stands still, and only that."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from adaptor.settings import TrainingSettings
from adaptor.training import EvalStep, State
from jobs.fit import worker
from jobs.fit.progress_actor import _Shown, start_progress_actor, watched
from jobs.runtime.progress import Progress

LOOK = {"step": 1, "stage": 1, "loss": math.nan, "score": 0.5, "best_score": 0.5}  # NaN never equals itself


@pytest.fixture
def progress_actor(ray_cluster: None) -> Iterator[Any]:
    started = start_progress_actor()
    assert ray.get(started.read.remote()) == {}
    yield started
    ray.kill(started)


def test_training_that_shows_nothing_new_is_ended(progress_actor: Any) -> None:
    ended: list[str] = []
    with Progress("fit", stream=io.StringIO()) as progress, watched(progress_actor, progress, 9, 2.0, ended.append):
        for step in range(4):  # it gets on, if slowly
            ray.get(progress_actor.post.remote({**LOOK, "step": step}))
            time.sleep(0.7)
        assert ended == []
        time.sleep(2.6)
    assert ended == ["fit: training has shown nothing new for 2 s: run again to continue from its checkpoint"]
    assert progress.done == 3


def test_a_board_that_died_begins_anew(progress_actor: Any) -> None:
    ended: list[str] = []
    with Progress("fit", stream=io.StringIO()) as progress, watched(progress_actor, progress, 9, 60.0, ended.append):
        ray.get(progress_actor.post.remote(LOOK))
        ray.kill(progress_actor, no_restart=False)
        deadline = time.monotonic() + 30
        while ray.get(progress_actor.read.remote()):  # a kill takes effect a little later
            assert time.monotonic() < deadline, "the progress_actor was not started again"
            time.sleep(0.05)
        time.sleep(0.7)
        ray.get(progress_actor.post.remote({**LOOK, "step": 7}))
        time.sleep(1.2)
    assert ended == []
    assert progress.done == 7


def test_a_board_that_is_lost_ends_no_fit(progress_actor: Any) -> None:
    ended: list[str] = []
    said = io.StringIO()
    with Progress("fit", stream=said) as progress, watched(progress_actor, progress, 9, 1.5, ended.append):
        ray.get(progress_actor.post.remote(LOOK))
        ray.kill(progress_actor)
        time.sleep(2.5)
    assert ended == []
    assert said.getvalue().count("training goes on, unseen, without cluster.stalled_seconds") == 1


@dataclass
class Posted:
    """In place of the actor: what the worker posts."""

    numbers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def post(self) -> Any:
        return SimpleNamespace(remote=self.numbers.append)


def test_between_looks_the_first_worker_tells_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    posted = [Posted(), Posted()]
    for rank, progress_actor in enumerate(posted):
        assignment: Any = SimpleNamespace(progress_actor=progress_actor, training=TrainingSettings())
        reporter = worker._Reporter(assignment, rank, 2)
        reporter(EvalStep(State(2, step=0), 0.25, 0.5, False))
        for step in range(1, 101):  # one in 0.1 s
            clock.now += 0.1
            reporter.step(step)
    first, *later = posted[0].numbers
    assert (first["stage"], first["step"], first["loss"], first["score"]) == (2, 0, 0.25, 0.5)
    assert 3 <= len(later) <= 5
    assert later[-1]["step"] >= 80
    assert all({**told, "step": 0} == first for told in later)
    assert posted[1].numbers == []


def test_a_score_is_shown_with_the_step_that_it_is_of() -> None:
    stream, clock = io.StringIO(), SimpleNamespace(now=0.0)
    with Progress("fit", total=20, unit="steps", stream=stream, clock=lambda: clock.now) as progress:
        shown = _Shown(progress, 9)
        for step, loss in ((0, 0.0), (7, 0.25)):  # the look at the start has no loss yet
            clock.now += 60
            assert shown.update({"step": step, "stage": 1, "loss": loss, "score": 0.5 + step, "best_score": 0.5})
    lines = [line.split(" · ") for line in stream.getvalue().splitlines()[1:]]
    assert [line[0] for line in lines if "held out 7.5" in line] == ["fit: 7/20 steps", "fit finished: 7/20 steps"]
    assert [line for line in lines if "loss 0" in line] == []


def test_steps_of_an_earlier_run_are_no_speed_of_this_one() -> None:
    clock = SimpleNamespace(now=0.0)
    with Progress("fit", total=20, unit="steps", stream=io.StringIO(), clock=lambda: clock.now) as progress:
        shown = _Shown(progress, 9)
        for step in (10, 12):
            clock.now += 2
            shown.update({**LOOK, "step": step})
        assert str(progress).startswith("12/20 steps · 4s elapsed · ETA 8s")
