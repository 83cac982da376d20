"""What an export has to do, from what the target remembers and what the manifest says. Pure: nothing is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adaptor.errors import InputError
from jobs.commits.manifest import Feed, Manifest
from jobs.export.state import State


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A full load of sequence `full` (None: none) from `state` on, or into a new collection; then `feeds`, in order.
    `note` says why, where that is not plain."""

    full: int | None = None
    state: State | None = None
    feeds: list[Feed] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Whether an earlier export may be replaced, and whether the target is always made anew as a whole."""

    replace: bool = False
    whole: bool = False


def make_plan(
    manifest: Manifest, stamp: Mapping[str, Any], state: State | None, kept: Sequence[int], options: PlanOptions
) -> Plan:
    """The plan for a target with this state. `kept` are the sequences whose manifests can still be read.

    Raises InputError where the collection cannot be carried on, unless it may be replaced.
    """
    if state is None:
        return Plan(full=manifest.sequence)
    if problem := _other_stamp(stamp, state) or (not options.whole and _no_way(manifest, state)):
        if not options.replace:
            raise InputError(f"{problem}. Give another destination.collection, or --replace true to load it anew")
        return Plan(full=manifest.sequence, note=f"{problem}: it is replaced")
    if options.whole:
        done = state.sequence == manifest.sequence and state.files_loaded is None
        return Plan(full=None if done else manifest.sequence)
    feeds = manifest.feeds_since(state.sequence)
    if state.files_loaded is None:
        return Plan(state=state, feeds=feeds or [])
    older = state.sequence != manifest.sequence
    if feeds is None or (older and (options.replace or state.sequence not in kept)):
        return Plan(
            full=manifest.sequence, note=f"an unfinished load of sequence {state.sequence} is replaced by a new one"
        )
    note = f"goes on with an unfinished load of sequence {state.sequence}, after {state.files_loaded} of its files"
    return Plan(full=state.sequence, state=state, feeds=feeds, note=note)


def _other_stamp(stamp: Mapping[str, Any], state: State) -> str:
    """In which the vectors or columns that are there differ from those to come; nothing where they are alike."""
    differences = (
        f"{name} {_short(state.stamp.get(name))} (now {_short(value)})"
        for name, value in stamp.items()
        if state.stamp.get(name) != value
    )
    told = ", ".join(differences)
    return told and f"the collection holds an export with other {told}"


def _no_way(manifest: Manifest, state: State) -> str:
    """Why no feeds lead from a finished load to the manifest; nothing where they do, or the load is unfinished."""
    if state.files_loaded is not None or manifest.feeds_since(state.sequence) is not None:
        return ""
    if state.sequence > manifest.sequence:
        return f"the collection is at sequence {state.sequence}, which is later than {manifest.sequence}"
    return (
        f"the collection is at sequence {state.sequence}, and feeds are kept from {manifest.oldest_checkpoint} on: "
        "it needs a full load"
    )


def _short(value: Any) -> str:
    return value[:16] if isinstance(value, str) else str(value)
