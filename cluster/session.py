"""Joins the Ray cluster that a command runs on, or starts one for the length of the command.

1. `RAY_ADDRESS` set (as in every submitted job): join that cluster.
2. `address: local`: start Ray here, on the loopback interface only, without a dashboard, with a token that is never
   written to disk.
3. Anything else: join it; the command must then run on a machine of that cluster.

What workers print goes to Ray's session folder (`/tmp/ray/session_latest/logs`); `RAY_LOG_TO_DRIVER=1` prints it here.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from cluster.credentials import MODE, TOKEN, environment, mode_for_existing_cluster
from cluster.discovery import SUBMIT, find
from cluster.errors import ClusterError
from cluster.gcs_watchdog import local_head_watched
from cluster.settings import ClusterSection
from cluster.stderr_filter import native_lines_dropped

LOGGER = logging.getLogger(__name__)

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_LOG_LEVEL": "WARNING",
    # The native side says E about every actor pool of Ray Data (issue 53727); what matters also comes as an exception.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Where Ray believes that only one machine is supported it binds all to 127.0.0.1; `_node_ip_address` does not do it.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

#: What the disk of Ray's session must have left, for its logs and sockets.
_SESSION_BYTES = 64 << 20


@contextmanager
def connect(section: ClusterSection, need_cpus: float, need_gpus: float = 0) -> Iterator[None]:
    """Hold a Ray session that has at least `need_cpus` cores and `need_gpus` GPUs in all.

    A session that is already open is used and left open. A local one offers `need_cpus` even on a machine with fewer
    cores (slower, but a two-worker job then runs anywhere); a running cluster must really have them.
    Leaving the block ends the session and puts the environment back. Raises `ClusterError`, also when a raylet, node or
    worker dies under the block; where the head of a local cluster dies, the process ends.
    """
    import ray

    if ray.is_initialized():
        _require(need_cpus, need_gpus)
        with _failures_named():
            yield
        return
    joined = os.environ.get("RAY_ADDRESS")
    target, field = (joined, "RAY_ADDRESS") if joined else (section.address, "cluster.address")
    local = target == "local"
    token = {MODE: "token", TOKEN: secrets.token_hex(32)} | _LOOPBACK if local else mode_for_existing_cluster()
    quiet_variables = {name: value for name, value in _QUIET.items() if name not in os.environ}
    with environment(quiet_variables | token):
        try:
            with native_lines_dropped():
                if local:
                    _start(need_cpus)
                else:
                    _join(target, field)
            quiet()
            _require(need_cpus, need_gpus)
            with _failures_named(), local_head_watched() if local else nullcontext():
                yield
        finally:
            ray.shutdown()


@contextmanager
def _failures_named() -> Iterator[None]:
    """Failures of Ray as `ClusterError`; what a task of ours raised passes as it is."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError:
        raise
    except RayError as failure:
        first_line = str(failure).strip().partition("\n")[0]
        raise ClusterError(
            f"the Ray cluster failed ({type(failure).__name__}: {first_line}): run the same command again to go on"
        ) from failure


def quiet() -> None:
    """Keep Ray's loggers in this process to warnings, whatever level Ray gave them."""
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Ray Data warns that its own progress bars are off whenever they are: ours are on.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)


def _start(need_cpus: float) -> None:
    """Start Ray here: about 2.5 s, and 1.4 s to stop it (measured on 2 cores)."""
    from ray._private import ray_constants

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if need_cpus > cores:
        LOGGER.warning("the workers ask for %g CPU cores, this machine has %d: they take turns", need_cpus, cores)
    folder = _session_folder()
    # Read from the environment when ray was imported, perhaps long ago.
    clusters_allowed = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        _initialise(address="local", num_cpus=max(cores, math.ceil(need_cpus)), include_dashboard=False)
    except Exception as error:  # Ray raises bare ones, too, when it is too slow to start
        raise ClusterError(
            f"Ray did not start on this machine: {error}\nLook into {folder}/session_latest/logs."
        ) from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters_allowed


def _session_folder() -> Path:
    """Where Ray keeps logs and sockets. Raises `ClusterError` on a full disk, where Ray hangs as it starts."""
    from ray._common.utils import get_default_ray_temp_dir

    folder = Path(get_default_ray_temp_dir()).absolute()  # type: ignore[no-untyped-call]
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if free < _SESSION_BYTES:
        raise ClusterError(
            f"the disk of {folder}, where Ray keeps its logs and sockets, has {free >> 20} MB left: free "
            f"{_SESSION_BYTES >> 20} MB there, or set RAY_TMPDIR to a folder on another disk"
        )
    return folder


def _join(target: str, field: str) -> None:
    """Join the running cluster at `target` (`auto` or `host:port`), which the user set as `field`."""
    address = find(target, field)
    try:
        _initialise(address=address)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"cannot join the Ray cluster at {address!r}: {error}\nIs this machine one of its nodes, and do both have "
            f"the same Ray and Python version? {SUBMIT}"
        ) from error


def _require(need_cpus: float, need_gpus: float) -> None:
    """Raise `ClusterError` if the whole cluster is smaller than what the command needs at once."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, need, field in (("CPU", need_cpus, "cpus_per_worker"), ("GPU", need_gpus, "gpus_per_worker")):
        if resources.get(name, 0) < need:
            raise ClusterError(
                f"the cluster has {resources.get(name, 0):g} {name}s, this command needs {need:g} at once: "
                f"lower cluster.workers (or its min) or cluster.{field}, or use a larger cluster"
            )


def room_for_workers(section: ClusterSection) -> int:
    """How many workers the connected cluster has room for now, idle or not: at least `min_workers` (which a command has
    asked for), at most `max_workers`."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = resources.get("CPU", 0) // section.cpus_per_worker
    if section.gpus_per_worker:
        room = min(room, resources.get("GPU", 0) // section.gpus_per_worker)
    return min(max(int(room), section.min_workers), section.max_workers)


def _initialise(**options: Any) -> None:
    """`ray.init`; the caller's handler of SIGTERM is put back, and workers print only where the user wants it."""
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    show_workers = os.environ.get("RAY_LOG_TO_DRIVER", "0") == "1"
    try:
        ray.init(log_to_driver=show_workers, logging_level=logging.WARNING, **options)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
