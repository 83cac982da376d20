"""What a failed S3 request means: absent, taken, refused (a matter of configuration) or failed for good."""

from __future__ import annotations

from aiohttp import ClientPayloadError, ServerDisconnectedError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from adaptor.errors import InputError, RunError

#: Answers that a changed configuration can cure; all others are failures of the run.
_REFUSED = {
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidToken",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
    "301",
    "403",
}


def is_broken_reply(error: BaseException) -> bool:
    """Whether the connection was lost while the body of the reply was on its way: botocore does not retry that."""
    return isinstance(error, ClientPayloadError | ServerDisconnectedError | TimeoutError)


def translated(error: Exception, doing: str, bucket: str) -> Exception:
    """The exception to raise for `error`; `doing` names the request and its object.

    404 → `FileNotFoundError`, 412 → `FileExistsError`, 409 → `BlockingIOError`, refusals and a missing bucket →
    `InputError`, exhausted retries → `RunError`; anything that is no failed request comes back as it is. Messages are
    made of the error code alone: what servers write around it may repeat parts of the request.
    """
    source = error if isinstance(error, ClientError) else error.__cause__
    if isinstance(source, ClientError):
        return _answered(source, doing, bucket)
    if isinstance(error, NoCredentialsError):
        return InputError(
            f"{doing}: no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or an instance "
            "role, or filesystem.credentials: anonymous"
        )
    if isinstance(error, ParamValidationError):
        return InputError(f"{doing}: {error}")
    if isinstance(error, BotoCoreError | OSError) or is_broken_reply(error):
        return RunError(f"{doing} failed, retries included: {error}")
    return error


def _answered(error: ClientError, doing: str, bucket: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "NoSuchBucket":
        return InputError(f"{doing}: bucket {bucket} does not exist: create it or correct the uri")
    expected = {404: FileNotFoundError, 409: BlockingIOError, 412: FileExistsError}.get(status or 0)
    if expected is not None:
        return expected(code)
    if code in _REFUSED:
        return InputError(
            f"{doing} was refused ({code}): check the credentials in the environment, filesystem.region, "
            "filesystem.endpoint and the permissions on the bucket"
        )
    if code == "RequestTimeTooSkewed":
        return InputError(f"{doing} was refused: this machine's clock and the server's differ too much: set the clock")
    if status == 501:
        return InputError(f"{doing}: the server does not support this request ({code}): use another S3 server")
    return RunError(f"{doing} failed, retries included: {code} (HTTP {status})")
