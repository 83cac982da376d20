"""Why the bytes of an object cannot be had: its store refuses or throttles, or disk or network failed.

pyarrow tells little of that: it drops the code of an answer without a body (HEAD), and mistakes an error's body for the
bytes that it asked for. s3fs calls absent what it may not look at.
"""

from __future__ import annotations

from adaptor.errors import InputError, RunError
from jobs.storage.objects import Objects, RefusedError, ThrottledError

#: pyarrow's words where only another request tells what is wrong.
_UNCLEAR = ("ACCESS_DENIED", "INVALID_OBJECT_STATE", "INTERNAL_FAILURE", "[code ")
_THROTTLED = ("SLOW_DOWN", "HTTP status 503", "HTTP status 429", "REQUEST_LIMIT_EXCEEDED", "THROTTLING")


def read_failure(objects: Objects, key: str, error: Exception, where: str) -> InputError | RunError | None:
    """The exception to raise for an `error` of reading `key` in bulk; `where` names the object, and the place in it.

    None where it says that the object is absent, or that its content is damaged.
    """
    text = str(error)
    absent, forbidden = isinstance(error, FileNotFoundError), isinstance(error, PermissionError)
    of_aws = isinstance(error, OSError) and "AWS Error" in text
    if not (of_aws or forbidden or (isinstance(error, OSError) and error.errno is not None) or absent):
        return None
    if of_aws and any(word in text for word in _THROTTLED):
        return ThrottledError(f"{where} could not be read: {text}")
    if not of_aws or any(word in text for word in _UNCLEAR):
        try:
            objects.probe(key)
        except FileNotFoundError:
            return None
        except (InputError, RunError) as told:
            return type(told)(f"{where} could not be read: {told}")
    if forbidden or "ACCESS_DENIED" in text:
        return RefusedError(f"{where} may not be read: {text}")
    return None if absent else RunError(f"{where} could not be read: {text}")
