"""Work items that failed for good, kept in the output version until they are done, changed or gone: `_failed/…json`.

And those that are on the way there: how often one was begun outlives the driver, in `_attempts/…json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from pydantic import TypeAdapter

from jobs.commits.ledger import list_names
from jobs.commits.names import LEDGER, RecordName
from jobs.commits.work_items import WorkItem
from jobs.storage.objects import AbsentError, Objects

FAILED, ATTEMPTS = "_failed/", "_attempts/"
#: `data`: what the shard holds cannot be used. `outage`: disk or network failed, retries included. `crash`: the worker
#: died. `timeout`: the worker took longer than `reading.timeout_seconds`.
Kind = Literal["data", "outage", "crash", "timeout"]


@dataclass(frozen=True)
class Cause:
    """Why a work item failed for good, in a word and in a sentence, after how many attempts."""

    kind: Kind
    reason: str
    attempts: int


@dataclass(frozen=True)
class Tried:
    """How often a work item that is not done yet was begun, and how often of these it took too long."""

    begun: int = 0
    timed_out: int = 0


_TRIED = TypeAdapter(Tried)


def record_failure(output_version: Objects, item: WorkItem, cause: Cause) -> None:
    """Keep the failure under the name that the item's record would have."""
    shard, run = asdict(item.shard), item.row_groups
    content = {"shard": shard.pop("key"), **shard, "row_groups": run and asdict(run), **asdict(cause)}
    output_version.put(_key(item.record), json.dumps(content, indent=1).encode() + b"\n")


def failed_names(output_version: Objects) -> set[RecordName]:
    """The names of all work items that are noted as failed."""
    return set(list_names(output_version, FAILED))


def forget_failures(output_version: Objects, names: Iterable[RecordName]) -> None:
    """Remove the notes of these work items."""
    for name in names:
        output_version.delete(_key(name))


def note_attempts(output_version: Objects, name: RecordName, tried: Tried) -> None:
    """Remember that the work item was begun again: one small object, only for those that have killed a worker."""
    output_version.put(_key(name, ATTEMPTS), json.dumps(asdict(tried)).encode() + b"\n")


def noted_attempts(output_version: Objects) -> dict[RecordName, Tried]:
    """What earlier runs remembered, as a rule nothing. A damaged note counts for nothing."""
    attempts = {}
    for name in list_names(output_version, ATTEMPTS):
        with suppress(ValueError, AbsentError):  # absent: a run beside this one has finished the item
            attempts[name] = _TRIED.validate_json(output_version.read(_key(name, ATTEMPTS)))
    return attempts


def forget_attempts(output_version: Objects, names: Iterable[RecordName]) -> None:
    """Remove what is remembered of these work items: they are done, given up or gone."""
    for name in names:
        output_version.delete(_key(name, ATTEMPTS))


def by_kind(kinds: Iterable[Kind]) -> dict[str, int]:
    """How many there are of each kind, zeros included."""
    counts = Counter(kinds)
    return {kind: counts[kind] for kind in get_args(Kind)}


def _key(name: RecordName, folder: str = FAILED) -> str:
    return folder + name.key.removeprefix(LEDGER)
