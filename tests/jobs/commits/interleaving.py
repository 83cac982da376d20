"""Commits that run one request at a time, in any order: the real code over a world of objects in memory.

A `Tape` replays what a commit was answered so far and stops it at its next request; `perform` does that request to the
world. A schedule can so be tried from every state, and a crash is a tape that is never continued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptor.errors import InputError, RunError
from jobs.commits.commit import FinishedItem, commit_item
from jobs.commits.ledger import LedgerRecord
from jobs.commits.work_items import WorkItem
from jobs.config.sections import FilesystemOptions, SourceSection
from jobs.outputs.output_format import Written
from jobs.sources.parquet import ParquetSource
from jobs.sources.source import Source
from jobs.storage.objects import Objects
from jobs.storage.s3 import S3Objects

World = Mapping[str, bytes]
#: The answer to a request: a value, or an exception of S3Objects.
Answer = Any


@dataclass(frozen=True)
class Request:
    """One request to the object store."""

    method: str
    key: str
    body: bytes = b""
    only_new: bool = False
    only_over: str | None = None

    @property
    def conditional(self) -> bool:
        """Whether it is done only where the right thing stands."""
        return self.only_new or self.only_over is not None


class Paused(Exception):
    """The commit waits for the answer to this request."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.request = request


def perform(request: Request, world: World) -> tuple[World, Answer]:
    """The world after the request, and the answer."""
    there = world.get(request.key)
    if request.method == "put_object":
        if request.only_new and there is not None:
            return world, FileExistsError()
        if request.only_over is not None and (there is None or request.only_over.strip('"') != etag(there)):
            return world, FileNotFoundError() if there is None else FileExistsError()
        return {**world, request.key: request.body}, {}
    if request.method == "delete_object":
        return {key: content for key, content in world.items() if key != request.key}, {}
    if request.method == "list_objects_v2":
        found = [
            {"Key": key, "Size": len(c), "ETag": etag(c)} for key, c in world.items() if key.startswith(request.key)
        ]
        return world, {"Contents": found}
    if there is None:
        return world, FileNotFoundError()
    return world, there if request.method == "get" else {"ContentLength": len(there), "ETag": etag(there)}


def etag(content: bytes) -> str:
    """As S3 makes it for an object that came in one piece."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Tape:
    """What one commit was answered so far."""

    def __init__(self, answers: tuple[Answer, ...] = ()) -> None:
        self._answers, self._position = answers, 0

    def ask(self, request: Request) -> Answer:
        """The answer from the tape; at its end, `Paused`."""
        if self._position == len(self._answers):
            raise Paused(request)
        self._position += 1
        answer = self._answers[self._position - 1]
        if isinstance(answer, Exception):
            raise type(answer)
        return answer


class Direct:
    """A world that answers at once."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(self, request: Request) -> Answer:
        """Do it now."""
        self.world, answer = perform(request, self.world)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Requested(S3Objects):
    """The S3 implementation with its requests going to a tape or a world."""

    def __init__(self, folder: str, asked: Tape | Direct) -> None:
        super().__init__(f"s3://bucket/{folder}", FilesystemOptions())
        self._asked = asked

    def _request(self, method: str, key: str | None = None, **fields: Any) -> Answer:
        where = fields.get("Prefix", "") if key is None else self.prefix + key
        conditions = "IfNoneMatch" in fields, fields.get("IfMatch")
        return self._asked.ask(Request(method, where, fields.get("Body", b""), *conditions))

    def _read(self, key: str) -> bytes:
        content: bytes = self._asked.ask(Request("get", self.prefix + key))
        return content


class RequestedSource(ParquetSource):
    """The Parquet source with its requests going to a tape or a world."""

    _SECTION = SourceSection(uri="s3://bucket/source")

    def __init__(self, asked: Tape | Direct) -> None:
        super().__init__(self._SECTION, "source")
        self.objects = Requested("source", asked)


def places(asked: Tape | Direct) -> tuple[Source, Objects]:
    """Source and output version."""
    return RequestedSource(asked), Requested("output_version", asked)


@dataclass(frozen=True)
class Commit:
    """A work item whose rows are ready: what a worker is about to commit. `rejected` rows go to the quarantine."""

    item: WorkItem
    content: bytes
    scratch: Path
    rejected: bytes | None = None

    def run(self, asked: Tape | Direct) -> None:
        """Commit it with the code of the product."""
        output, rejected = self._file(self.content), None if self.rejected is None else self._file(self.rejected)
        commit_item(*places(asked), FinishedItem(self.item, output, rejected, self.record))

    def next_request(self, answers: tuple[Answer, ...]) -> Request | None:
        """What it asks after these answers; None when it is through, its shard has changed, or others disturbed it."""
        try:
            self.run(Tape(answers))
        except Paused as paused:
            return paused.request
        except RunError:
            return None
        except InputError as problem:
            if "while it was read" not in str(problem):
                raise
        return None

    @property
    def record(self) -> LedgerRecord:
        """The record that it wants to stand."""
        shard = self.item.shard
        digest = hashlib.sha256(self.content).hexdigest()
        aside = None if self.rejected is None else hashlib.sha256(self.rejected).hexdigest()
        return LedgerRecord(
            shard=shard.key,
            size=shard.size,
            version=shard.version,
            row_groups=self.item.row_groups,
            rows_in=1,
            rows_out=1,
            rows_quarantined=0 if aside is None else 1,
            duplicate_ids=0,
            output=self.item.output,
            output_bytes=len(self.content),
            sha256=digest,
            quarantine=None if aside is None else self.item.quarantine,
            quarantine_sha256=aside,
            adaptor_id="adaptor",
            dim=8,
            encoding="float32",
            versions={},
        )

    def _file(self, content: bytes) -> Written:
        path = self.scratch / etag(content)
        if not path.exists():
            path.write_bytes(content)
        return Written(path, 1, len(content), hashlib.sha256(content).hexdigest())
