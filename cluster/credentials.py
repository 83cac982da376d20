"""Ray's shared token and the environment of Ray's processes.

Ray reads `RAY_AUTH_MODE` and the token once per process. Whoever changes either must call `reload()`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 (a name, not a token)
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"  # noqa: S105
TOKEN_SOURCES = f"{TOKEN}, the file named by {TOKEN_PATH}, or ~/.ray/auth_token"


def mode_for_existing_cluster() -> dict[str, str]:
    """Token mode where there is a token (in `TOKEN_SOURCES`; it is not read) and nobody has chosen otherwise.

    Ray 2.60 does this by itself only for some of its entry points; a cluster without authentication ignores the token.
    """
    path = os.environ.get(TOKEN_PATH) or os.path.expanduser("~/.ray/auth_token")
    has_token = bool(os.environ.get(TOKEN)) or os.path.isfile(path)
    return {MODE: "token"} if MODE not in os.environ and has_token else {}


def reload() -> None:
    """Make Ray read mode and token from the environment again."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # Ray has no public call for it

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which Ray's children inherit. On leaving all are as before, those of Ray, too."""
    before = dict(os.environ)
    os.environ.update(variables)
    if variables.keys() & {MODE, TOKEN}:
        reload()
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        if variables.keys() & {MODE, TOKEN}:
            reload()
