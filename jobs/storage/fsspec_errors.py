"""What an exception of an fsspec driver means: a matter of configuration, or an outage.

Drivers raise what their libraries raise, so any exception counts, not only `OSError`.
"""

from __future__ import annotations

from typing import cast

from aiohttp import ClientConnectionError

from adaptor.errors import InputError, RunError

#: Exceptions of libraries that may not be installed: the login was refused, or there is none.
_REFUSALS = {"error_perm", "AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError"}
#: Exceptions that a changed configuration can cure; so are these HTTP statuses.
_MISCONFIGURED = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError)
_REFUSED_STATUSES = (401, 403)
_HADOOP = ("libjvm", "libhdfs")


def translated(error: Exception, doing: str) -> Exception:
    """The exception to raise for `error`; `doing` names the location and the attempt ("hf://x cannot be …")."""
    if isinstance(error, InputError | RunError):
        return error
    if isinstance(error, FileNotFoundError) and is_outage_behind(error):
        error = cast(Exception, error.__cause__)
    if isinstance(error, ImportError):
        return InputError(f"{doing}: {error}: install that Python package on every node")
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if any(library in text for library in _HADOOP):
        return InputError(
            f"{doing}: {text}: install Java and Hadoop's native libraries on every node, and set JAVA_HOME, "
            "HADOOP_HOME and CLASSPATH"
        )
    if isinstance(error, NotImplementedError):
        return InputError(f"{doing}: its driver cannot do that: {text}: use another source")
    refused = type(error).__name__ in _REFUSALS or getattr(error, "status", None) in _REFUSED_STATUSES
    if refused or isinstance(error, _MISCONFIGURED):
        return InputError(f"{doing}: {text}: check the uri and the credentials that its driver reads")
    return RunError(f"{doing}: {text}")


def is_outage_behind(error: Exception) -> bool:
    """Whether a driver calls something absent because its request failed (fsspec's HTTP does)."""
    cause = error.__cause__
    status = getattr(cause, "status", None)
    if status is not None:
        return int(status) >= 500
    return isinstance(cause, OSError | ClientConnectionError) and not isinstance(cause, FileNotFoundError)
