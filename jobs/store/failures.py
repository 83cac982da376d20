"""Work items that failed for good, kept in the generation until they are done, changed or gone: `_failed/…json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from jobs.store.ledger import LEDGER, RecordName, list_names
from jobs.store.objects import Objects
from jobs.store.plan import WorkItem

FAILED = "_failed/"
#: `data`: what the shard holds cannot be used. `outage`: disk or network failed, retries included. `crash`: the worker
#: died. `timeout`: the worker took longer than `reading.timeout_seconds`.
Kind = Literal["data", "outage", "crash", "timeout"]


@dataclass(frozen=True)
class Cause:
    """Why a work item failed for good, in a word and in a sentence, after how many attempts."""

    kind: Kind
    reason: str
    attempts: int


def record_failure(generation: Objects, item: WorkItem, cause: Cause) -> None:
    """Keep the failure under the name that the item's record would have."""
    shard, run = asdict(item.shard), item.row_groups
    content = {"shard": shard.pop("key"), **shard, "row_groups": run and asdict(run), **asdict(cause)}
    generation.put(_key(item.record), json.dumps(content, indent=1).encode() + b"\n")


def failed_names(generation: Objects) -> set[RecordName]:
    """The names of all work items that are noted as failed."""
    return set(list_names(generation, FAILED))


def forget_failures(generation: Objects, names: Iterable[RecordName]) -> None:
    """Remove the notes of these work items."""
    for name in names:
        generation.delete(_key(name))


def by_kind(kinds: Iterable[Kind]) -> dict[str, int]:
    """How many there are of each kind, zeros included."""
    counts = Counter(kinds)
    return {kind: counts[kind] for kind in get_args(Kind)}


def _key(name: RecordName) -> str:
    return FAILED + name.key.removeprefix(LEDGER)
