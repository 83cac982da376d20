"""Requests side by side, for engines that answer over a network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def send_all(send: Callable[[T], Any], parts: Iterable[T], threads: int) -> None:
    """Call `send` for each part, `threads` at once; parts are taken as threads become free. The first error is raised
    once all calls under way have ended."""
    with ThreadPoolExecutor(threads, thread_name_prefix="export") as pool:
        pending: deque[Future[Any]] = deque()
        for part in parts:
            if len(pending) >= threads:
                pending.popleft().result()
            pending.append(pool.submit(send, part))
        for future in pending:
            future.result()
