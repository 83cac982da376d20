"""What a failed S3 request means: absent, taken, refused (a matter of configuration) or failed for good."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiohttp import ClientPayloadError, ServerDisconnectedError
from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from adaptor.errors import InputError, RunError
from jobs.storage.objects import RefusedError, ThrottledError

#: Those that may be meant for one object only.
_FORBIDDEN = {"AccessDenied", "AllAccessDisabled", "403"}
#: Codes and statuses that a changed configuration can cure; all others are failures of the run.
_REFUSED = {
    *_FORBIDDEN,
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidToken",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
    "301",
}
#: Codes and statuses that ask for fewer requests.
_THROTTLED = {"SlowDown", "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests", "429", "503"}
#: Statuses that a later attempt may not get; 400 also stands for S3's own code in the answer to a HEAD.
_LATER = {400, 408, 425, 429}
#: Requests for which 404 says that the key or the upload is absent.
_MAY_BE_ABSENT = {"head_object", "delete_object", "upload_part", "complete_multipart_upload", "abort_multipart_upload"}
#: What botocore says of the configuration before it sends anything.
_MISCONFIGURED = (
    botocore.ConfigNotFound,
    botocore.ConfigParseError,
    botocore.InvalidConfigError,
    botocore.InvalidRegionError,
    botocore.NoRegionError,
    botocore.ParamValidationError,
    botocore.PartialCredentialsError,
    botocore.ProfileNotFound,
)


def telling_answers(method: str, fields: Collection[str]) -> set[int]:
    """The HTTP statuses among 404, 409 and 412 that say something of the key, for this request with these fields.

    A server that is not S3, or lacks the bucket, gives them to every request.
    """
    absent = {404} if method in _MAY_BE_ABSENT or "IfMatch" in fields else set()
    return absent | ({409, 412} if "IfMatch" in fields or "IfNoneMatch" in fields else set())


def is_broken_reply(error: BaseException) -> bool:
    """Whether the connection was lost in mid reply: botocore does not retry that."""
    return isinstance(error, ClientPayloadError | ServerDisconnectedError | TimeoutError)


def translated(error: Exception, doing: str, bucket: str, telling: Collection[int] = ()) -> Exception:
    """The exception to raise for `error`; `doing` names the request and its object.

    `telling` statuses: 404 → `FileNotFoundError`, 412 → `FileExistsError`, 409 → `BlockingIOError`. Refusals, a missing
    bucket and a server that is not S3 → `InputError`, of which what is forbidden or archived is a `RefusedError`;
    exhausted retries → `RunError`, and `ThrottledError` if for want of capacity; what is no failed request stays as it
    is. Messages repeat the error code alone: servers' texts may hold parts of the request.
    """
    answer = error if isinstance(error, ClientError) else error.__cause__
    if isinstance(answer, ClientError):
        return _answered(answer, doing, bucket, telling)
    if isinstance(error, NoCredentialsError):
        return InputError(
            f"{doing}: no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or an instance "
            "role, or filesystem.credentials: anonymous"
        )
    if isinstance(error, _MISCONFIGURED):
        return InputError(
            f"{doing}: {error}: correct the AWS settings in the environment, filesystem.region or the uri"
        )
    if isinstance(error, RecursionError):  # botocore follows redirects without end
        return InputError(no_s3(doing, bucket, "was redirected without end"))
    if isinstance(error, BotoCoreError | OSError) or is_broken_reply(error):
        return RunError(f"{doing} failed, retries included: {error}")
    return error


def _answered(error: ClientError, doing: str, bucket: str, telling: Collection[int]) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status: Any = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    if code == "NoSuchBucket":
        return InputError(f"{doing}: bucket {bucket} does not exist: create it or correct the uri")
    if status in telling:
        return {404: FileNotFoundError, 409: BlockingIOError, 412: FileExistsError}[status](code)
    if code == "RequestTimeTooSkewed":
        return InputError(f"{doing} was refused: this machine's clock and the server's differ too much: set the clock")
    if code == "InvalidObjectState":
        return RefusedError(
            f"{doing}: it is archived (GLACIER, DEEP_ARCHIVE): restore it, or leave it out with source.files.exclude"
        )
    if code in _REFUSED or (not code and status in (301, 403)):
        kind = RefusedError if code in _FORBIDDEN or not code else InputError
        return kind(
            f"{doing} was refused ({code}): check the credentials in the environment, filesystem.region, "
            "filesystem.endpoint and the permissions on the bucket"
        )
    # Without a code of S3's own the status stands for it.
    if status == 404 or (code in ("", str(status)) and 300 <= status < 500 and status not in _LATER):
        return InputError(no_s3(doing, bucket, f"was answered {status}"))
    if status == 501:
        return InputError(f"{doing}: the server does not support this request ({code}): use another S3 server")
    throttled = {code, str(status)} & _THROTTLED
    return (ThrottledError if throttled else RunError)(f"{doing} failed, retries included: {code} (HTTP {status})")


def no_s3(doing: str, bucket: str, what: str) -> str:
    """The message for an answer that only another server, or one without this bucket, gives."""
    return (
        f"{doing} {what}: is this an S3 server, and does bucket {bucket} exist? Check filesystem.endpoint "
        "(or AWS_ENDPOINT_URL) and the uri"
    )
