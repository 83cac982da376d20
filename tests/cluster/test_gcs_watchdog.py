"""The watch over the head of a local cluster: Ray itself would end the process, without a word, after a minute."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray._private import worker

from cluster import gcs_watchdog
from cluster.gcs_watchdog import local_head_watched
from tests.head_node import environment

LOSES_ITS_HEAD = """
import sys
import ray
from cluster.guardian import guarded
from cluster.session import connect
from cluster.settings import ClusterSection

@ray.remote
class Sleeper:
    def sleep(self):
        import time
        time.sleep(600)

with guarded("fit", "job-1", ""), connect(ClusterSection(), need_cpus=1):
    from ray._private.worker import _global_node
    from ray.experimental.internal_kv import _internal_kv_put
    sleeper = Sleeper.remote()
    asleep = sleeper.sleep.remote()
    _global_node.all_processes["gcs_server"][0].process.kill()
    {what}
print("went on")
"""
LINE = "matryoshka: the Ray cluster is lost: its head has died: run the same command again to go on\n"


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for the process of the head, which lives as long as its `status` is None; looked at every 50 ms."""
    head = SimpleNamespace(status=None)
    head.poll = lambda: head.status
    node = SimpleNamespace(all_processes={"gcs_server": [SimpleNamespace(process=head)]})
    monkeypatch.setattr(worker, "_global_node", node)
    monkeypatch.setattr(gcs_watchdog, "_EVERY", 0.05)
    monkeypatch.setattr(gcs_watchdog, "_GRACE", 0.3)
    return head


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why the process would have been ended."""
    reasons = list[str]()
    monkeypatch.setattr(gcs_watchdog, "give_up", reasons.append)
    return reasons


# A call that Python's signals interrupt, and one that hangs in Ray's native side.
@pytest.mark.parametrize("what", ["ray.get(asleep)", "_internal_kv_put(b'key', b'value')"])
def test_a_command_whose_head_dies_ends_with_a_line_and_status_1(what: str, root: Path) -> None:
    command = [sys.executable, "-c", LOSES_ITS_HEAD.format(what=what)]
    # Ray would end it after 60 s.
    ended = subprocess.run(command, env=environment(None), cwd=root, capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith(LINE)
    assert "crashed" not in ended.stderr, "the guardian knows that the user has been told"


@pytest.mark.usefixtures("head")
def test_while_the_head_lives_nothing_happens(ends: list[str]) -> None:
    with local_head_watched():
        time.sleep(0.5)
    assert ends == []


def test_who_goes_on_without_a_head_ends_with_the_process(head: SimpleNamespace, ends: list[str]) -> None:
    with local_head_watched():
        head.status = -9
        time.sleep(1)
    assert ends[0].startswith("the Ray cluster is lost")


def test_who_ends_by_itself_has_its_own_reason(head: SimpleNamespace, ends: list[str]) -> None:
    def fail() -> None:
        head.status = -9
        time.sleep(0.1)
        raise KeyError

    with pytest.raises(KeyError), local_head_watched():
        fail()
    time.sleep(0.5)
    assert ends == []


def test_a_head_that_ends_with_the_session_is_not_lost(head: SimpleNamespace, ends: list[str]) -> None:
    with local_head_watched():
        pass
    head.status = 0
    time.sleep(0.5)
    assert ends == []
