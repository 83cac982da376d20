"""Ctrl-C and SIGTERM: the command ends within seconds, with one line that says how to go on. Standard library only."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cluster.guardian import leave

#: Exit status after an interrupt, as shells have it.
INTERRUPTED = 130
#: Longest time for leaving in order, in seconds; schedulers kill after 10 (Docker) or 30 (Kubernetes).
GRACE_SECONDS = 8.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """What a signal does.

    A command that starts has written nothing, and an import may swallow an exception: the process ends at once. A
    running command is unwound by `KeyboardInterrupt`. What hangs after `GRACE_SECONDS`, or at a second signal, is cut
    off. That is safe: a command that was killed can be run again at any time.
    """

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._running = self._interrupted = self._reported = False
        self._stderr = os.dup(2)  # while Ray starts, standard error itself is held back

    def running(self) -> None:
        """From here on a signal unwinds the command."""
        self._running = True

    def report(self) -> int:
        """Print the last line; the exit status. Safe in a signal handler."""
        if not self._reported:
            self._reported = True
            line = f"matryoshka {self._verb}: interrupted; run the same command again to finish\n"
            os.write(self._stderr, line.encode())
        return INTERRUPTED

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        if not self._running or self._interrupted:
            leave(self.report())
        self._interrupted = True
        raise KeyboardInterrupt

    def cut_off(self, arrivals: socket.socket) -> None:
        """In a thread: end the process when it has not ended by itself some seconds after the first signal.

        Python writes each signal's number to `arrivals`, whichever handler is in place (Ray Train brings its own) and
        whatever the main thread hangs in. It stays to the end of the process, whose other threads may hang as well.
        """
        with arrivals:
            while number := arrivals.recv(1):
                if number[0] not in _SIGNALS:
                    continue
                end = time.monotonic() + GRACE_SECONDS
                if number[0] == signal.SIGINT and signal.getsignal(signal.SIGINT) != self.handle:
                    # Ray Train waits in its handler for the training to be aborted, however long that takes.
                    time.sleep(GRACE_SECONDS / 4)
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                time.sleep(max(0.0, end - time.monotonic()))
                leave(self.report())


@contextmanager
def interruptible(verb: str) -> Iterator[Interrupts]:
    """Take over both signals, and give them back at the end. Outside the main thread nothing is changed."""
    interrupts = Interrupts(verb)
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    threading.Thread(target=interrupts.cut_off, args=(receiver,), daemon=True).start()
    handlers = {number: signal.signal(number, interrupts.handle) for number in _SIGNALS}
    wakeup = signal.set_wakeup_fd(sender.fileno())
    try:
        yield interrupts
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sender.close()
