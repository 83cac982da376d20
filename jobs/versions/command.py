"""`matryoshka versions`: which output versions there are, which is in use, and what becomes of old ones.

The pointer `current.json` beside them names one, as of a sequence. It is one small object, replaced as a whole: a
command that is killed leaves the old one or the new one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.commits.pointer import Pointer, Promotion, promote, read_pointer, roll_back
from jobs.config.versions import VersionsConfig
from jobs.runtime.plural import plural
from jobs.storage.objects import Objects
from jobs.versions.catalogue import Catalogue, Version
from jobs.versions.gate import check_gate
from jobs.versions.sweeping import sweep_all


@dataclass(frozen=True)
class Result:
    """What an action found: for programs, and as lines for people."""

    found: dict[str, Any]
    lines: list[str]


def run(config: VersionsConfig) -> int:
    """Do the action and print what it found; 0. Raises InputError where that cannot be done."""
    actions: dict[str, Callable[[Catalogue, VersionsConfig], Result]] = {
        "list": _list,
        "compare": _compare,
        "promote": _promote,
        "rollback": _rollback,
        "sweep": _sweep,
    }
    result = actions[config.action](Catalogue(config.output), config)
    lines = [json.dumps(result.found, indent=1)] if config.report == "json" else result.lines
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _list(catalogue: Catalogue, config: VersionsConfig) -> Result:
    pointer = read_pointer(catalogue.outputs)
    facts = [version.facts() | {"current": _is_current(version, pointer)} for version in catalogue.versions()]
    lines = [_line(one) for one in facts] or [f"{catalogue.outputs.uri} holds no complete output version"]
    if pointer is None and facts:
        lines.append("none is promoted: matryoshka versions promote")
    return Result({"versions": facts}, lines)


def _line(facts: dict[str, Any]) -> str:
    kept, drift = facts["evidence"].get("quality", {}).get("overlap@10"), facts["evidence"].get("drift", "none")
    parts = [
        f"{'*' if facts['current'] else ' '} {facts['version']}",
        facts["created"],
        plural(facts["rows"], "rows"),
        f"{facts['bytes'] / 1e6:,.1f} MB",
        *([f"overlap@10 {kept['value']:.3f}"] if kept else []),
        *([f"drift: {drift}"] if drift != "none" else []),
        *(["in use"] if facts["current"] else []),
    ]
    return " · ".join(parts)


def _compare(catalogue: Catalogue, config: VersionsConfig) -> Result:
    one, other = (catalogue.find(wanted) for wanted in config.versions)
    shards = _changed_shards(one, other)
    found: dict[str, Any] = {"versions": [one.facts(), other.facts()], "shards": shards}
    lines = [_line(version.facts() | {"current": False}).strip() for version in (one, other)]
    lines.append(f"shards: {', '.join(f'{len(keys):,} {kind}' for kind, keys in shards.items())}")
    if one.name == other.name and one.manifest.sequence < other.manifest.sequence:
        feeds = other.manifest.feeds_since(one.manifest.sequence)
        found["feeds"] = None if feeds is None else [vars(feed) for feed in feeds]
        lines.append(
            "no feeds lead from one to the other: loaders load all of it"
            if feeds is None
            else f"feeds: {plural(sum(feed.upserts for feed in feeds), 'upserts')}, "
            f"{plural(sum(feed.deletes for feed in feeds), 'deletes')}"
        )
    return Result(found, lines)


def _changed_shards(one: Version, other: Version) -> dict[str, list[str]]:
    """Keys of shards that the other version has and this one has not, the reverse, and those of other content."""
    old, new = ({(f.shard, f.source_version) for f in version.manifest.files} for version in (one, other))
    before, after = {shard for shard, _ in old}, {shard for shard, _ in new}
    changed = {shard for shard, _ in new - old} & before
    return {"added": sorted(after - before), "removed": sorted(before - after), "changed": sorted(changed)}


def _promote(catalogue: Catalogue, config: VersionsConfig) -> Result:
    version = catalogue.find(config.versions[0]) if config.versions else catalogue.newest()
    check_gate(catalogue.folder(version.name), version, config.gate)
    manifest = version.manifest
    pointer = promote(
        catalogue.outputs, Promotion.now(version.name, manifest.sequence, str(manifest.description["adaptor_id"]))
    )
    return _pointed(catalogue.outputs, pointer)


def _rollback(catalogue: Catalogue, config: VersionsConfig) -> Result:
    pointer = read_pointer(catalogue.outputs)
    if pointer is not None and pointer.earlier:  # it must still be there
        target = pointer.earlier[0]
        catalogue.find(f"{target.output_version}@{target.sequence}")
    return _pointed(catalogue.outputs, roll_back(catalogue.outputs))


def _pointed(outputs: Objects, pointer: Pointer) -> Result:
    found = {"output_version": pointer.output_version, "sequence": pointer.sequence, "adaptor_id": pointer.adaptor_id}
    return Result(
        found, [f"in use: {pointer.output_version}@{pointer.sequence} ({outputs.uri.rstrip('/')}/current.json)"]
    )


def _sweep(catalogue: Catalogue, config: VersionsConfig) -> Result:
    deleted = sweep_all(catalogue, config.keep)
    lines = [f"deleted {title}" for title in deleted] or ["nothing to delete"]
    return Result({"deleted": deleted}, lines)


def _is_current(version: Version, pointer: Pointer | None) -> bool:
    return pointer is not None and pointer.names(version.name, version.manifest.sequence)
