"""Notes on work items, under the names of their records: why they failed for good (`_failed/`), and how often open ones
were begun (`_attempts/`). A run deletes notes on what is done, changed or gone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from jobs.commits.ledger import list_names
from jobs.commits.names import LEDGER, RecordName
from jobs.commits.work_items import WorkItem
from jobs.storage.objects import AbsentError, Objects

FAILED, ATTEMPTS = "_failed/", "_attempts/"
#: `data`: what the shard holds cannot be used. `refused`: its store does not give it (forbidden, archived). `outage`:
#: disk or network failed, retries included. `crash`: the worker died. `timeout`: the worker took longer than
#: `reading.timeout_seconds`.
Kind = Literal["data", "refused", "outage", "crash", "timeout"]


@dataclass(frozen=True)
class Cause:
    """Why a work item failed for good, in a word and in a sentence, after how many attempts."""

    kind: Kind
    reason: str
    attempts: int


@dataclass(frozen=True)
class AttemptCount:
    """How often a work item was begun, and how often of these it ran out of time."""

    begun: int = 0
    timed_out: int = 0


_ATTEMPT_COUNT = TypeAdapter(AttemptCount)


def note_failure(output_version: Objects, item: WorkItem, cause: Cause) -> dict[str, Any]:
    """Note that a work item failed; what the note says."""
    note = {"shard": item.title, **asdict(cause)}
    output_version.put(_key(FAILED, item.record), json.dumps(note, indent=1).encode() + b"\n")
    return note


def note_attempts(output_version: Objects, name: RecordName, count: AttemptCount) -> None:
    """Note that a work item was begun again: one small object, only for those that have killed a worker."""
    output_version.put(_key(ATTEMPTS, name), _ATTEMPT_COUNT.dump_json(count) + b"\n")


def noted_attempts(output_version: Objects) -> dict[str, AttemptCount]:
    """What earlier runs noted, by key of the record; as a rule nothing. A damaged note counts for nothing."""
    counts = {}
    for name in list_names(output_version, ATTEMPTS):
        with suppress(ValueError, AbsentError):  # absent: a run beside this one has finished the item
            counts[name.key] = _ATTEMPT_COUNT.validate_json(output_version.read(_key(ATTEMPTS, name)))
    return counts


def delete_notes(output_version: Objects, folder: str, names: Iterable[RecordName]) -> None:
    """Delete the notes on these work items in `folder`."""
    for name in names:
        output_version.delete(_key(folder, name))


def _key(folder: str, name: RecordName) -> str:
    return folder + name.key.removeprefix(LEDGER)
