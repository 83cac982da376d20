"""Objects on S3 and servers that speak it.

pyarrow does bulk reads. s3fs sends bare requests for everything that must be atomic or fresh: listing, HEAD,
conditional PUT, multipart. s3fs's files and caches are not used: its files publish a truncated object when an exception
interrupts them, and its caches show old listings.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions
from jobs.storage.objects import AbsentError, ObjectInfo, Objects, RefusedError, checked_key
from jobs.storage.s3_clients import arrow_filesystem, request_client
from jobs.storage.s3_errors import is_broken_reply, no_s3, telling_answers, translated

if TYPE_CHECKING:
    import pyarrow.fs as pafs
    import s3fs

#: Files up to this size go up in one PUT; larger ones in parts of at least this size.
PART_BYTES = 32 << 20
#: Attempts at a request whose reply breaks off: botocore retries only until a reply begins.
_REPLY_TRIES = 3
#: S3's limit for one COPY.
_MOST_COPIED = 5 << 30
#: S3's limit is 10,000 parts.
_MOST_PARTS = 9_000


class S3Objects(Objects):
    """The objects below `s3://bucket/prefix`. Clients are made at the first request, one pair per instance."""

    buffer_bytes = 8 << 20
    requests_ahead = 4

    def __init__(self, uri: str, options: FilesystemOptions) -> None:
        bucket, _, prefix = uri[len("s3://") :].partition("/")
        if "@" in bucket:
            raise InputError("an s3:// uri must not hold credentials: they come from the environment or a role")
        if not bucket:
            raise InputError(f"uri {uri!r} names no bucket: write s3://bucket/prefix")
        self.uri = uri
        self.bucket = bucket
        self.prefix = f"{checked_key(prefix.strip('/'))}/" if prefix.strip("/") else ""
        self.options = options

    @cached_property
    def arrow(self) -> pafs.FileSystem:
        """pyarrow's filesystem, made on first use."""
        return arrow_filesystem(self.bucket, self.options)

    @cached_property
    def _client(self) -> s3fs.S3FileSystem:
        return request_client(self.options)

    def path(self, key: str) -> str:
        """`bucket/prefix/key`."""
        return f"{self.bucket}/{self.prefix}{checked_key(key)}"

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        for page in self._pages("list_objects_v2", prefix, "ContinuationToken"):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # markers that consoles make for empty folders
                    yield ObjectInfo(entry["Key"][len(self.prefix) :], entry["Size"], entry["ETag"].strip('"'))

    def _pages(self, method: str, prefix: str, *markers: str) -> Iterator[dict[str, Any]]:
        """The answers to a listing, page by page; each names the `markers` of the next one."""
        fields: dict[str, Any] = {"Prefix": self.prefix + prefix}
        while True:
            page = self._request(method, **fields)
            yield page
            if not page.get("IsTruncated"):
                return
            fields |= {marker: page[f"Next{marker}"] for marker in markers}

    def stat(self, key: str) -> ObjectInfo | None:
        """One HEAD: size and ETag now."""
        try:
            answer = self._request("head_object", key)
        except FileNotFoundError:
            return None
        if "ETag" not in answer:  # a web server that is fine with anything
            raise InputError(no_s3(f"head_object s3://{self.path(key)}", self.bucket, "was answered without an ETag"))
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"].strip('"'))

    def _read(self, key: str) -> bytes:
        path = self.path(key)
        content: bytes = self._retried(partial(self._client.cat_file, path), f"reading s3://{path}", {404}, RunError)
        return content

    def probe(self, key: str) -> None:
        """One GET of a byte."""
        path = self.path(key)
        self._retried(partial(self._client.cat_file, path, start=0, end=1), f"reading s3://{path}", {404})

    def put(self, key: str, content: bytes) -> None:
        """One PUT."""
        self._request("put_object", key, Body=content)

    def put_new(self, key: str, content: bytes) -> bool:
        """One PUT with `If-None-Match: *`. On 412 the object is read: after a lost reply it may be our own."""
        try:
            self._through_conflicts(key, partial(self._request, "put_object", key, Body=content, IfNoneMatch="*"))
        except FileExistsError:
            return self._holds(key, content)  # no second try when it is gone again: that would be another creation
        return True

    def put_file(self, key: str, local: Path) -> None:
        """One PUT, or a multipart upload that is aborted when anything interrupts it."""
        try:
            self._put_file(key, local, self._request)
        except FileNotFoundError as error:
            raise RunError(f"s3://{self.path(key)}: the upload disappeared before it was completed") from error

    def replace_file(self, key: str, local: Path, expected: ObjectInfo | None) -> bool:
        """The same under the condition `If-Match`, or `If-None-Match: *`."""
        try:
            self._through_conflicts(key, partial(self._put_file, key, local, partial(self._request_over, expected)))
        except (FileExistsError, FileNotFoundError):  # another object, or none
            return False
        return True

    def _through_conflicts(self, key: str, put: Callable[[], object]) -> None:
        """`put`, and again after a 409: another conditional write of this key is under way."""
        for attempt in range(self.options.attempts):
            try:
                put()
                return
            except BlockingIOError:
                time.sleep(min(0.1 * 1.7**attempt, 5))
        raise RunError(f"s3://{self.path(key)} could not be written in {self.options.attempts} attempts (conflicts)")

    def _request_over(self, expected: ObjectInfo | None, method: str, key: str, **fields: Any) -> Any:
        """The request that makes an object, if the present one is the `expected` one; `FileExistsError` if not.

        Servers that ignore the condition are no worse than a local disk: the caller looked just before.
        """
        if method == "complete_multipart_upload" and self.stat(key) != expected:  # Ceph 16 ignores the condition
            raise FileExistsError(key)
        if expected is None:
            return self._request(method, key, IfNoneMatch="*", **fields)
        for tag in (f'"{expected.version}"', expected.version):  # Ceph 16 recognises only the second
            try:
                return self._request(method, key, IfMatch=tag, **fields)
            except FileExistsError:
                if self.stat(key) != expected:
                    raise
        return self._request(method, key, **fields)

    def _put_file(self, key: str, local: Path, finish: Callable[..., Any]) -> None:
        """Upload; `finish` sends the request that makes the object appear."""
        size = local.stat().st_size
        if size <= PART_BYTES:
            finish("put_object", key, Body=local.read_bytes())
            return
        upload = self._request("create_multipart_upload", key)["UploadId"]
        part_bytes = max(PART_BYTES, -(-size // _MOST_PARTS))
        try:
            parts = self._upload_parts(key, local, upload, part_bytes)
            self._complete(key, partial(finish, UploadId=upload), parts, size)
        except BaseException:
            with contextlib.suppress(FileNotFoundError, InputError, RunError):
                self._request("abort_multipart_upload", key, UploadId=upload)
            raise

    def _upload_parts(self, key: str, local: Path, upload: str, part_bytes: int) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        with open(local, "rb") as file:
            while body := file.read(part_bytes):
                number = len(parts) + 1
                answer = self._request("upload_part", key, UploadId=upload, PartNumber=number, Body=body)
                sums = {n: answer[n] for n in answer if n.startswith("Checksum") and n != "ChecksumType"}
                parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
        return parts

    def _complete(self, key: str, finish: Callable[..., Any], parts: list[dict[str, Any]], size: int) -> None:
        try:
            finish("complete_multipart_upload", key, MultipartUpload={"Parts": parts})
        except FileNotFoundError:
            # Fine when an earlier try completed the upload and its reply was lost.
            info = self.stat(key)
            if info is None or info.size != size or not info.version.endswith(f"-{len(parts)}"):
                raise

    def copy(self, key: str, to: str) -> None:
        """One COPY; by way of a local file where the object is too large for that."""
        info = self.stat(key)
        if info is None:
            raise AbsentError(f"{self.uri}: {key} does not exist")
        if info.size <= _MOST_COPIED:
            self._request("copy_object", to, CopySource={"Bucket": self.bucket, "Key": self.prefix + key})
            return
        with tempfile.NamedTemporaryFile(prefix="matryoshka-") as local:
            with self.arrow.open_input_stream(self.path(key)) as stream:
                shutil.copyfileobj(stream, local, PART_BYTES)
            local.flush()
            self.put_file(to, Path(local.name))

    def delete(self, key: str) -> None:
        """One DELETE; absent is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._request("delete_object", key)

    def abandon_uploads(self, older_than: float) -> int:
        """Abort multipart uploads below the prefix: their parts are invisible, and paid for."""
        aborted = 0
        for page in self._pages("list_multipart_uploads", "", "KeyMarker", "UploadIdMarker"):
            now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
            for upload in page.get("Uploads", ()):
                if upload["Key"].startswith(self.prefix) and (now - upload["Initiated"]).total_seconds() > older_than:
                    key = upload["Key"][len(self.prefix) :]
                    with contextlib.suppress(FileNotFoundError):
                        self._request("abort_multipart_upload", key, UploadId=upload["UploadId"])
                        aborted += 1
        return aborted

    def _request(self, method: str, key: str | None = None, **fields: Any) -> Any:
        """One request with its retries. 404, 412 and 409 become FileNotFound-, FileExists- and BlockingIOError where
        they say something of the key."""
        if key is not None:
            fields["Key"] = self.prefix + checked_key(key)
        doing = f"{method} s3://{self.bucket}/{fields.get('Key', self.prefix)}"
        call = partial(self._client.call_s3, method, Bucket=self.bucket, **fields)
        try:
            return self._retried(call, doing, telling_answers(method, fields))
        except RefusedError as error:
            if method == "head_object":
                raise
            raise InputError(str(error)) from error  # to list and to write: a matter of the whole location

    def _retried(self, call: Callable[[], Any], doing: str, telling: set[int], *again: type[Exception]) -> Any:
        """`call`, and again when its reply breaks off or means one of the errors `again`; errors as `translated`."""
        for tries_left in reversed(range(_REPLY_TRIES)):
            try:
                return call()
            except Exception as error:
                meaning = translated(error, doing, self.bucket, telling)
                if not (tries_left and (is_broken_reply(error) or isinstance(meaning, again))):
                    raise meaning from error
        raise AssertionError
