"""Finds the running cluster that a command is to join and looks whether it answers, within seconds.

`ray.init` itself tries for minutes where nothing, or something else, listens, and prints what its native side thinks.
"""

from __future__ import annotations

import os
import socket

from cluster.credentials import WHERE
from cluster.errors import ClusterError

SUBMIT = "To use a cluster from outside, send the command to it with `matryoshka submit`."

#: Longest wait for a connection and for its first bytes, in seconds.
_WAIT = 5.0
#: What a client of HTTP/2 sends first, with empty settings; a server answers with its settings, a frame of type 4.
_HEADER, _SETTINGS = 9, 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def find(target: str, field: str) -> str:
    """`host:port` of the cluster at `target` (`auto` or `host:port`), which answers and takes our token.

    `field` is what the user set the target with. Raises `ClusterError`. A good cluster takes milliseconds, `auto` a
    look at all processes of this machine.
    """
    address = _running() if target == "auto" else target
    where = f"{field} {target!r}" + ("" if address in (None, target) else f" ({address} was found)")
    local = "set --cluster.address local" + (f" without {field}" if field == "RAY_ADDRESS" else "")
    admitted = _admits(address) if address is not None and _listens(address) else None
    if address is None or admitted is None:
        silent = "" if address is None else ", nothing answers there as a cluster does"
        raise ClusterError(
            f"no Ray cluster found at {where}{silent}: start one there (`ray start --head`), or {local} to run on this "
            f"machine alone. {SUBMIT}"
        )
    if not admitted:
        raise ClusterError(
            f"the Ray cluster at {where} does not take the token of this command, or misses one: give its token "
            f"({WHERE}), or {local} to run on this machine alone. {SUBMIT}"
        )
    return address


def _running() -> str | None:
    """What Ray calls `auto`: a cluster with a process here, of several the one that was started last."""
    from ray._private.services import find_bootstrap_address, find_gcs_addresses

    running: set[str] = find_gcs_addresses()  # type: ignore[no-untyped-call]
    latest: str | None = find_bootstrap_address(None)
    return latest if latest and (latest in running or len(running) != 1) else next(iter(sorted(running)), None)


def _listens(address: str) -> bool:
    """Whether something at `host:port` speaks HTTP/2, as every service of Ray does; with TLS, whether it connects."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_WAIT) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return True
            connection.sendall(_PREFACE)
            answer = b""
            while len(answer) < _HEADER and (more := connection.recv(_HEADER - len(answer))):
                answer += more
            return len(answer) == _HEADER and answer[3] == _SETTINGS
    except (OSError, ValueError, OverflowError):  # ValueError: no port; OverflowError: none that there can be
        return False


def _admits(address: str) -> bool | None:
    """Whether the cluster takes our token; None where that is no cluster of Ray's after all.

    Ray's own client tells, because `ray.init` asks again and again for 20 s.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
    from ray.exceptions import AuthenticationError, RayError

    try:
        GcsClient(address=address)
    except AuthenticationError:
        return False
    except RayError:  # it speaks HTTP/2, but not with us
        return None
    return True
