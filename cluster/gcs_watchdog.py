"""The watch over the head of the cluster (its GCS, the process that knows all others).

Ray ends a driver that has lost it: after a minute, by `_exit(1)`, without an exception and, with its native side kept
quiet, without a word. The watch is quicker and raises an exception, so that a command ends as it does after any
failure; where Ray's native side hangs and cannot be interrupted, it ends the process itself, with the same words.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from cluster.errors import ClusterError
from cluster.guardian import leave

#: Seconds between two looks, and the longest wait for a connection.
_EVERY, _WAIT = 2.0, 5.0
#: Ray's own patience with a head that does not answer, in seconds, and what of it we leave unused.
_RECONNECT, _RECONNECT_SECONDS, _RESERVE = "RAY_gcs_rpc_server_reconnect_timeout_s", 60.0, 25.0
#: Why a connection fails on our side, which says nothing about the head.
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
#: How long the block may take to end once it is interrupted, in seconds.
_GRACE = 10.0
_SIGNAL = signal.SIGUSR1


@contextmanager
def head_watched(patience: float | None = None) -> Iterator[None]:
    """While the block runs, look whether anything listens where the head of the open session is.

    When nothing has for `patience` seconds the block is interrupted and `ClusterError` raised; a block that goes on all
    the same ends with the process, status 1. Left out: 25 s less than Ray waits, since the head of a large cluster may
    come back. Without effect outside the main thread.
    """
    import ray

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if patience is None:
        patience = max(_EVERY, float(os.environ.get(_RECONNECT, _RECONNECT_SECONDS)) - _RESERVE)
    watch = _Watch(ray.get_runtime_context().gcs_address, patience)
    before = signal.signal(_SIGNAL, watch.interrupt) or signal.SIG_DFL
    try:
        watch.start()
        try:
            yield
        finally:
            watch.end()
    except BaseException as problem:
        if watch.interrupted:
            raise ClusterError(watch.lost) from problem
        raise
    finally:
        signal.signal(_SIGNAL, before)


class _Watch(threading.Thread):
    """Looks, and interrupts the main thread."""

    def __init__(self, address: str, patience: float) -> None:
        super().__init__(name="head-watch", daemon=True)
        self.lost = ""
        """What has happened to the head, for the user."""
        self.interrupted = False
        self._address, self._patience = address, patience
        self._over, self._ended = False, threading.Event()
        self._one_at_a_time = threading.Lock()

    def run(self) -> None:
        """Until the block has ended or the head is lost."""
        silent, looked = 0.0, time.monotonic()
        while not self._ended.wait(_EVERY):
            answers, before, looked = _listens(self._address), looked, time.monotonic()
            # A process that was stopped for an hour has not looked for an hour.
            silent = 0.0 if answers else silent + min(looked - before, _EVERY + _WAIT)
            if silent > self._patience:
                self._interrupt_main()
                return

    def _interrupt_main(self) -> None:
        with self._one_at_a_time:  # a signal after the end would meet somebody else's handler
            if self._ended.is_set():
                return
            self.lost = (
                f"the Ray cluster is lost: its head at {self._address} has died or cannot be reached: run the same "
                "command again to go on"
            )
            # A signal, because what waits in Ray's native side looks at those, if at anything.
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
        if not self._ended.wait(_GRACE):
            give_up(self.lost)

    def interrupt(self, *_: object) -> None:
        """The signal handler. Ray passes on this exception, and no other."""
        if not self._over:
            self.interrupted = True
            raise KeyboardInterrupt

    def end(self) -> None:
        """The block has ended."""
        self._over = True  # before anything that a signal could find halfway
        with self._one_at_a_time:
            self._ended.set()


def _listens(address: str) -> bool:
    """Whether a process takes connections at `host:port`, or we are in no state to tell."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_WAIT).close()
    except OSError as problem:
        return problem.errno in _OURS
    return True


def give_up(why: str) -> NoReturn:
    """End the process from any thread, whatever the others hang in. As safe as a kill: the command can be run again."""
    os.write(2, f"matryoshka: {why}\n".encode())
    leave(1)
