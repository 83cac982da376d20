"""A few hundred mutations of good and bad inputs in every test run; `make fuzz` goes on, guided by coverage."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import Targets

_RUNS = 120


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Targets:
    return Targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", Targets.names)
def test_only_errors_of_ours_come_out(targets: Targets, name: str) -> None:
    draws = random.Random(name)  # noqa: S311 - which bytes are changed
    seeds = targets.seeds(name)
    for run in range(_RUNS):
        content = bytearray(draws.choice(seeds))
        for _ in range(draws.choice((1, 1, 2, 8))):
            _mutate(content, draws)
        try:
            targets.run(name, bytes(content))
        except Exception as problem:
            raise AssertionError(f"run {run}: {bytes(content)!r}"[:2000]) from problem


def _mutate(content: bytearray, draws: random.Random) -> None:
    """One change: a bit, a byte, a stretch that is lost, repeated, zeroed or overwritten, or the end cut off."""
    if not content:
        return
    start = draws.randrange(len(content))
    size = draws.choice((1, 2, 4, 16, 200))
    kind = draws.choice(("bit", "byte", "lost", "repeated", "zeros", "ones", "cut"))
    if kind == "bit":
        content[start] ^= 1 << draws.randrange(8)
    elif kind == "byte":
        content[start] = draws.randrange(256)
    elif kind == "lost":
        del content[start : start + size]
    elif kind == "repeated":
        content[start:start] = content[start : start + size]
    elif kind == "cut":
        del content[start:]
    else:
        stretch = len(content[start : start + size])
        content[start : start + stretch] = (b"\0" if kind == "zeros" else b"\xff") * stretch
