"""The watch over training: it ends what stands still, and only that."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from adaptor.training import EvalStep
from adaptor.training_job import Stage
from adaptor.training_state import TrainingState
from jobs.fit.progress_actor import Shown, TrainingProgress, start_progress_actor, watched
from jobs.fit.worker import Reporter
from jobs.runtime.progress import Progress
from tests.adaptor.test_training import job, training_set

#: NaN never equals itself.
SEEN = TrainingProgress(steps=1, stage="supervised", loss=math.nan, score=0.5, best_score=0.5)


@pytest.fixture
def progress_actor(ray_cluster: None) -> Iterator[Any]:
    started = start_progress_actor()
    assert ray.get(started.read.remote()) is None
    yield started
    ray.kill(started)


def test_training_that_shows_nothing_new_is_ended(progress_actor: Any) -> None:
    ended: list[str] = []
    with Progress("fit", stream=io.StringIO()) as progress, watched(progress_actor, progress, 2.0, ended.append):
        for step in range(4):  # it gets on, if slowly
            ray.get(progress_actor.post.remote(replace(SEEN, steps=step)))
            time.sleep(0.7)
        assert ended == []
        time.sleep(2.6)
    assert ended == ["fit: training has shown nothing new for 2 s: run again to continue from its checkpoint"]
    assert progress.done == 3


def test_an_actor_that_died_begins_anew(progress_actor: Any) -> None:
    ended: list[str] = []
    with Progress("fit", stream=io.StringIO()) as progress, watched(progress_actor, progress, 60.0, ended.append):
        ray.get(progress_actor.post.remote(SEEN))
        ray.kill(progress_actor, no_restart=False)
        deadline = time.monotonic() + 30
        while ray.get(progress_actor.read.remote()):  # a kill takes effect a little later
            assert time.monotonic() < deadline, "the progress actor was not started again"
            time.sleep(0.05)
        time.sleep(0.7)
        ray.get(progress_actor.post.remote(replace(SEEN, steps=7)))
        time.sleep(1.2)
    assert ended == []
    assert progress.done == 7


def test_an_actor_that_is_lost_ends_no_fit(progress_actor: Any) -> None:
    ended: list[str] = []
    said = io.StringIO()
    with Progress("fit", stream=said) as progress, watched(progress_actor, progress, 1.5, ended.append):
        ray.get(progress_actor.post.remote(SEEN))
        ray.kill(progress_actor)
        time.sleep(2.5)
    assert ended == []
    assert said.getvalue().count("training goes on, unseen, without cluster.stalled_seconds") == 1


@dataclass
class Posted:
    """In place of the actor: what the worker posts."""

    progress: list[TrainingProgress] = field(default_factory=list)

    @property
    def post(self) -> Any:
        return SimpleNamespace(remote=self.progress.append)


@pytest.mark.parametrize(("stage", "earlier"), [(Stage.UNSUPERVISED, 0), (Stage.SUPERVISED, 60)])
def test_between_eval_steps_the_first_worker_tells_its_step(
    stage: Stage, earlier: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    posted = [Posted(), Posted()]
    for rank, actor in enumerate(posted):
        reporter = Reporter(job(data=training_set(stage is Stage.SUPERVISED)), actor, rank, 2)
        reporter.step(0)  # nothing is known yet
        reporter(EvalStep(TrainingState(stage=stage), 0.0, 0.5))
        for step in range(1, 101):  # one in 0.1 s
            clock.now += 0.1
            reporter.step(step)
    first, *later = posted[0].progress
    assert (first.stage, first.steps, first.loss, first.score) == (str(stage), earlier, None, 0.5)
    assert 3 <= len(later) <= 5
    assert later[-1].steps >= earlier + 80
    assert all(replace(progress, steps=earlier) == first for progress in later)
    assert posted[1].progress == []


def test_a_score_is_shown_with_the_step_that_it_is_of() -> None:
    stream, clock = io.StringIO(), SimpleNamespace(now=0.0)
    with Progress("fit", total=20, unit="steps", stream=stream, clock=lambda: clock.now) as progress:
        shown = Shown(progress)
        for step, loss in ((0, None), (7, 0.25)):  # the first eval step has no loss yet
            clock.now += 60
            assert shown.update(replace(SEEN, steps=step, loss=loss, score=0.5 + step))
    lines = [line.split(" · ") for line in stream.getvalue().splitlines()[1:]]
    assert [line[0] for line in lines if "held out 7.5" in line] == ["fit: 7/20 steps", "fit finished: 7/20 steps"]
    assert [line for line in lines if "loss 0" in line] == []


def test_steps_of_an_earlier_run_are_no_speed_of_this_one() -> None:
    clock = SimpleNamespace(now=0.0)
    with Progress("fit", total=20, unit="steps", stream=io.StringIO(), clock=lambda: clock.now) as progress:
        shown = Shown(progress)
        for step in (10, 12):
            clock.now += 2
            shown.update(replace(SEEN, steps=step))
        assert str(progress).startswith("12/20 steps · 4s elapsed · ETA 8s")
