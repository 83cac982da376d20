"""A bounded number of tasks at a time, results as they come, and what a task may die of in words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from adaptor.errors import InputError, RunError
from jobs.runtime.task_pool import completed

pytestmark = pytest.mark.usefixtures("ray_cluster")


@ray.remote(num_cpus=0.1, max_retries=0)
def double(number: int) -> int:
    """Twice the number; some numbers do not end well."""
    if number == 13:
        raise InputError("13 cannot be doubled")
    if number == 14:
        raise RunError("14 is out of reach")
    if number == 15:
        raise KeyError("a defect")
    if number == 16:
        os._exit(1)
    return 2 * number


@ray.remote(num_cpus=0.1)
def wait(seconds: float, folder: str) -> int:
    """How many of these tasks are under way."""
    mark = Path(folder) / str(os.getpid())
    mark.touch()
    time.sleep(seconds)
    together = len(list(Path(folder).iterdir()))
    mark.unlink()
    return together


def test_every_call_is_made_once_and_comes_with_its_arguments() -> None:
    results = list(completed(double, ((number,) for number in range(10)), 3, "doubled"))
    assert sorted(results) == [((number,), 2 * number) for number in range(10)]
    assert list(completed(double, iter(()), 3, "doubled")) == []


def test_no_more_than_so_many_are_under_way_or_taken_from_the_calls(tmp_path: Path) -> None:
    taken: list[int] = []

    def calls() -> Iterator[tuple[float, str]]:
        for number in range(8):
            taken.append(number)
            yield 0.1, str(tmp_path)

    for done, (_, together) in enumerate(completed(wait, calls(), 2, "waited")):
        assert together <= 2
        assert len(taken) <= done + 2
    assert len(taken) == 8


def test_results_come_as_they_are_ready(tmp_path: Path) -> None:
    calls = [(2.0, str(tmp_path)), (0.0, str(tmp_path))]
    assert [call[0] for call, _ in completed(wait, calls, 2, "waited")] == [0.0, 2.0]


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (13, InputError, r"^13 cannot be doubled$"),
        (14, RunError, r"^14 is out of reach$"),
        (15, KeyError, "a defect"),
        (16, RunError, r"^a worker died again and again while it doubled: "),
    ],
)
def test_what_a_task_raises_arrives_as_it_is(number: int, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        list(completed(double, [(1,), (number,), (2,)], 2, "doubled"))


def test_calls_that_nobody_waits_for_are_let_go(tmp_path: Path) -> None:
    """A forced cancel around the end of a task can take the whole process along."""
    for delay in range(20):
        pool = completed(wait, ((0.01, str(tmp_path)) for _ in range(50)), 4, "waited")
        next(pool)
        time.sleep(delay / 1000)
        pool.close()  # type: ignore[attr-defined]
    assert list(completed(double, [(1,)], 1, "doubled")) == [((1,), 2)]
