"""The watch over the head of a cluster: Ray itself would end the process, without a word, a minute after its death."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from cluster import gcs_watchdog as head
from cluster.errors import ClusterError
from cluster.gcs_watchdog import head_watched
from tests.head_node import environment

LOSES_ITS_HEAD = """
import ray
from cluster.errors import ClusterError
from cluster.session import connect
from cluster.settings import ClusterSection

@ray.remote
class Sleeper:
    def sleep(self):
        import time
        time.sleep(600)

try:
    with connect(ClusterSection(), need_cpus=1):
        from ray._private.worker import _global_node
        from ray.experimental.internal_kv import _internal_kv_put
        sleeper = Sleeper.remote()
        asleep = sleeper.sleep.remote()
        _global_node.all_processes["gcs_server"][0].process.kill()
        ray.get(asleep)
except ClusterError as error:
    print(error)
print(ray.is_initialized())
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What listens where the head of the open session is said to be, looked at twenty times a second."""
    monkeypatch.setattr(head, "_EVERY", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
        yield listening


@pytest.mark.slow  # 15 s, most of them waiting
def test_where_ray_cannot_be_interrupted_the_process_ends_in_words(root: Path) -> None:
    ended = _lose_head(root, LOSES_ITS_HEAD.replace("ray.get(asleep)", "_internal_kv_put(b'key', b'value')"))
    assert ended.returncode == 1
    assert "matryoshka: the Ray cluster is lost: its head at 127.0.0.1:" in ended.stderr


def lose(server: socket.socket, on_interrupt: Callable[[], object] = lambda: None) -> None:
    """Nothing listens any more, while the block is at work."""
    server.close()
    try:
        time.sleep(20)
    finally:
        on_interrupt()


def _lose_head(root: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(None),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=50,  # Ray would end it after 60
    )


def test_a_command_whose_head_dies_says_so_and_ends(root: Path) -> None:
    ended = _lose_head(root, LOSES_ITS_HEAD)
    assert ended.returncode == 0, ended.stderr
    told, open_still = ended.stdout.splitlines()
    assert told.startswith("the Ray cluster is lost: its head at 127.0.0.1:")
    assert told.endswith("run the same command again to go on")
    assert open_still == "False"


@pytest.mark.usefixtures("server")
def test_while_it_listens_nothing_happens() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with head_watched(patience=0.1):
        time.sleep(0.5)
    with pytest.raises(KeyError), head_watched(patience=0.1):
        raise KeyError
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_block_is_interrupted_when_nothing_listens_any_more(server: socket.socket) -> None:
    with pytest.raises(ClusterError, match="has died or cannot be reached"), head_watched(patience=0.1):
        lose(server)


@pytest.mark.usefixtures("server")
def test_who_comes_back_in_time_was_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(head, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))  # a second for each look
    answers = [False, False, True, False, False, True]  # four seconds of silence in all, two at a time
    looks = list[bool]()

    def listens(address: str) -> bool:
        looks.append(answers[len(looks)] if len(looks) < len(answers) else True)
        return looks[-1]

    monkeypatch.setattr(head, "_listens", listens)
    with head_watched(patience=3):
        deadline = time.monotonic() + 20
        while len(looks) < len(answers) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert looks[: len(answers)] == answers


def test_patience_is_less_than_that_of_ray(monkeypatch: pytest.MonkeyPatch, server: socket.socket) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "15.1")
    monkeypatch.setattr(head, "_RESERVE", 15)
    began = time.monotonic()
    with pytest.raises(ClusterError), head_watched():
        lose(server)
    assert time.monotonic() - began < 5


def test_what_a_lost_cluster_raises_is_the_reason_and_not_what_is_told(server: socket.socket) -> None:
    def fail() -> None:
        raise OSError("whatever came of it")

    with pytest.raises(ClusterError, match="its head at") as caught, head_watched(patience=0.1):
        lose(server, fail)
    assert isinstance(caught.value.__cause__, OSError)


def test_who_goes_on_after_the_interrupt_ends_with_the_process(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = list[str]()
    monkeypatch.setattr(head, "_GRACE", 0.2)
    monkeypatch.setattr(head, "give_up", ends.append)
    with pytest.raises(ClusterError), head_watched(patience=0.1):
        lose(server, lambda: time.sleep(1))
    assert [why.partition(":")[0] for why in ends] == ["the Ray cluster is lost"]


def test_a_pause_of_the_whole_process_is_not_held_against_the_head(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([True, False])  # one look fails, after an hour in which nobody looked
    monkeypatch.setattr(head, "_listens", lambda address: next(looks, True))
    clock = iter([0.0, 0.1, 3600.0])
    monkeypatch.setattr(head, "time", SimpleNamespace(monotonic=lambda: next(clock, 3600.2)))
    with head_watched(patience=10):
        time.sleep(0.5)
    assert next(looks, None) is None


def test_want_of_descriptors_is_not_held_against_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object, timeout: float) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert head._listens("127.0.0.1:1")


def test_what_had_failed_before_stays_the_reason(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        server.close()
        time.sleep(0.5)
        raise KeyError

    monkeypatch.setattr(signal, "pthread_kill", lambda *_: None)  # the interrupt comes too late
    with pytest.raises(KeyError), head_watched(patience=0.1):
        fail()


@pytest.mark.usefixtures("server")
def test_a_signal_that_comes_late_meets_nobody() -> None:
    with head_watched(patience=100):
        handler = signal.getsignal(signal.SIGUSR1)
    assert callable(handler)
    assert handler(signal.SIGUSR1, None) is None


@pytest.mark.usefixtures("server")
def test_only_the_main_thread_is_watched() -> None:
    watches = list[bool]()

    def elsewhere() -> None:
        with head_watched(patience=0.1):
            watches.append(any(thread.name == "head-watch" for thread in threading.enumerate()))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert watches == [False]
