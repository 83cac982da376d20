"""What an exception of an fsspec driver means: refused or not usable (a matter of configuration), or an outage.

Drivers raise what their libraries raise, so any exception of theirs is looked at, not only `OSError`.
"""

from __future__ import annotations

from aiohttp import ClientConnectionError

from adaptor.errors import InputError, RunError

#: Classes of libraries that may not be installed: the login was refused, or there is none.
_REFUSALS = {"error_perm", "AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError"}
#: HTTP statuses that a changed configuration can cure, and the lowest of those that tell nothing of the object.
_REFUSED, _SERVER_FAILED = (401, 403), 500
_HADOOP = ("libjvm", "libhdfs")


def translated(error: Exception, doing: str) -> Exception:
    """The exception to raise for `error`; `doing` names the place and what was tried there ("hf://x cannot be …")."""
    if isinstance(error, InputError | RunError):
        return error
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and is_outage_behind(error):
        error = cause
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
    refused = isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError)
    if refused or type(error).__name__ in _REFUSALS or getattr(error, "status", None) in _REFUSED:
        return InputError(f"{doing}: {text}: check the uri and the credentials that its driver reads")
    return RunError(f"{doing}: {text}")


def is_outage_behind(error: Exception) -> bool:
    """Whether a driver says that something is absent because it could not ask (fsspec's HTTP does)."""
    cause = error.__cause__
    status = getattr(cause, "status", None)
    if status is not None:
        return int(status) >= _SERVER_FAILED
    return isinstance(cause, OSError | ClientConnectionError) and not isinstance(cause, FileNotFoundError)
