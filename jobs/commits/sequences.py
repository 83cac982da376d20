"""Sequences of an output version: a new one is added, old ones are swept, files that count no more leave `data/`.

Every step can be done again: a run that dies between any two leaves work for the next run, and no manifest that names
what is not there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from adaptor.errors import InputError, RunError
from jobs.commits.feed import write_feed
from jobs.commits.manifest import (
    FEEDS,
    MANIFEST,
    SUPERSEDED,
    Feed,
    Manifest,
    OutputFile,
    kept_manifests,
    kept_sequences,
    manifest_key,
    read_manifest,
)
from jobs.commits.names import DATA
from jobs.storage.objects import Objects

LOGGER = logging.getLogger(__name__)

#: Attempts to add a sequence while other runs add theirs.
_RACES = 10
_THREADS = 16


def newest_sequence(output_version: Objects) -> Manifest | None:
    """The newest manifest, None before the first. If its run died before `manifest.json` was written, that is written
    now."""
    sequences = kept_sequences(output_version)
    if not sequences:
        return None
    newest = read_manifest(output_version, sequences[-1])
    if output_version.stat(MANIFEST) is None or read_manifest(output_version).sequence != newest.sequence:
        output_version.put(MANIFEST, newest.to_json())
    return newest


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a sequence is to say, by the names of the manifest."""

    description: dict[str, Any]
    source_snapshot: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    files: Iterable[OutputFile]


def add_sequence(output_version: Objects, contents: Contents, keep: int) -> Manifest:
    """Make these files count. The newest manifest stays where they already do. `keep` sequences will be kept: feeds
    from before these are not named any more; with 0 no feed is written at all.

    Raises RunError when another run changes the output version at the same time.
    """
    counting = sorted(contents.files, key=lambda file: file.path)
    for _ in range(_RACES):
        last = newest_sequence(output_version)
        if last is not None and last.files == counting:
            return last
        _check_present(output_version, counting)
        sequence, feeds = 1, []
        if last is not None:
            sequence = last.sequence + 1
            feed = write_feed(output_version, last, counting) if keep > 1 else None
            feeds = [
                known for known in (*last.feeds, *([feed] if feed else [])) if known.sequence > sequence - keep + 1
            ]
        manifest = Manifest(
            sequence=sequence,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            description=contents.description,
            source_snapshot=contents.source_snapshot,
            evidence=contents.evidence,
            files=counting,
            feeds=feeds,
        )
        if output_version.put_new(manifest_key(sequence), manifest.to_json()):
            output_version.put(MANIFEST, manifest.to_json())
            return manifest
    raise RunError(f"{output_version.uri}: other runs keep adding sequences: let one job run at a time")


def retire_files(output_version: Objects, keys: Collection[str]) -> None:
    """Take files out of `data/` that do not count any more. Those that a kept manifest names stay readable elsewhere,
    and the manifest says where."""
    if not keys:
        return
    manifests = list(kept_manifests(output_version))[:-1]
    named = {file.path for manifest in manifests for file in manifest.files}
    moved = {key: f"{SUPERSEDED}{key.removeprefix(DATA)}" for key in keys if key in named}
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(output_version.copy, moved.keys(), moved.values()))
        for manifest in manifests:
            files = [replace(file, path=moved.get(file.path, file.path)) for file in manifest.files]
            if files != manifest.files:
                output_version.put(manifest_key(manifest.sequence), replace(manifest, files=files).to_json())
        list(threads.map(output_version.delete, keys))


def sweep(output_version: Objects, keep: int, pinned: Collection[int]) -> list[int]:
    """Forget all sequences but the newest `keep` and the `pinned` ones; which were forgotten. Their files, and feeds
    from before the kept ones, are deleted."""
    sequences = kept_sequences(output_version)
    forgotten = [sequence for sequence in sequences[: -max(1, keep)] if sequence not in pinned]
    for sequence in forgotten:
        output_version.delete(manifest_key(sequence))
    newest = newest_sequence(output_version)
    if newest is None:
        return []
    feeds = _still_useful(newest.feeds, newest.sequence, keep)
    if feeds != newest.feeds:
        newest = replace(newest, feeds=feeds)
        for key in (manifest_key(newest.sequence), MANIFEST):
            output_version.put(key, newest.to_json())
    named = {file.path for manifest in kept_manifests(output_version) for file in manifest.files}
    named |= {feed.path for feed in newest.feeds}
    kept = (info.key for folder in (SUPERSEDED, FEEDS) for info in output_version.list(folder))
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(output_version.delete, [key for key in kept if key not in named]))
    return forgotten


def _feed(output_version: Objects, last: Manifest, files: Sequence[OutputFile], keep: int) -> list[Feed]:
    """The feed from the last sequence to these files, if one is wanted and can be made."""
    try:
        feed = write_feed(output_version, last, files) if keep > 1 else None
    except InputError as problem:  # an old file is lost or damaged: no reason to be without a new sequence
        LOGGER.warning("no feed, loaders must load all of it: %s", problem)
        return []
    return [feed] if feed else []


def _still_useful(feeds: Sequence[Feed], newest: int, keep: int) -> list[Feed]:
    """The feeds that lead on from one of the `keep` newest sequences."""
    return [feed for feed in feeds if feed.sequence > newest - keep + 1]


def _check_present(output_version: Objects, files: Sequence[OutputFile]) -> None:
    """RunError when a file is not there: another run has retired it meanwhile."""
    there = {info.key: info.size for info in output_version.list(DATA)}
    for file in files:
        if there.get(file.path) != file.bytes:
            raise RunError(
                f"{output_version.uri}/{file.path} is missing or not as recorded: another run changes this output "
                "version at the same time, or it was damaged; run compress again, then verify"
            )
