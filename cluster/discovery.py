"""Finds the running cluster that a command is to join and looks whether it answers and lets the command in.

`ray.init` itself tries for minutes where nothing listens, and prints what its native side thinks.
"""

from __future__ import annotations

import socket

from cluster.credentials import TOKEN_SOURCES
from cluster.errors import ClusterError

SUBMIT = "To use a cluster from outside, send the command to it with `matryoshka submit`."

#: Longest wait for a connection, in seconds.
_WAIT = 5.0


def find(target: str, field: str) -> str:
    """`host:port` of the cluster at `target` (`auto` or `host:port`), which answers and takes our token.

    `field` is what the user set the target with. Raises `ClusterError`: within seconds where nothing listens, within a
    minute where something else does. A good cluster takes milliseconds, `auto` a look at all processes of this machine.
    """
    from ray._private.services import get_ray_address_from_environment
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
    from ray.exceptions import AuthenticationError, RayError

    where = f"{field} {target!r}"
    local = "set --cluster.address local" + (f" without {field}" if field == "RAY_ADDRESS" else "")
    try:
        address: str = target
        if target == "auto":
            address = get_ray_address_from_environment("auto", None)
            where += f" ({address})"
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=_WAIT).close()
        GcsClient(address=address)
    except AuthenticationError as error:
        raise ClusterError(
            f"the Ray cluster at {where} does not take the token of this command, or misses one: give its token "
            f"({TOKEN_SOURCES}), or {local} to run on this machine alone. {SUBMIT}"
        ) from error
    except (OSError, ValueError, OverflowError, RayError) as error:  # ValueError, OverflowError: no port
        reason = str(error).partition(". ")[0]
        raise ClusterError(
            f"no Ray cluster answers at {where} ({reason}): start one there (`ray start --head`), or {local} to run on "
            f"this machine alone. {SUBMIT}"
        ) from error
    return address
