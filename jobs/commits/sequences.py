"""Sequences of an output version: a new one is added, old ones are swept, files that count no more leave `data/`.

Every step can be done again: a run that dies between any two leaves work for the next run, and no manifest that names
what is not there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from adaptor.errors import InputError, RunError
from jobs.commits.feed import feed_key, write_feed
from jobs.commits.manifest import (
    FEEDS,
    MANIFEST,
    MANIFESTS,
    SUPERSEDED,
    Feed,
    Manifest,
    OutputFile,
    kept_sequences,
    manifest_key,
    read_manifest,
    superseded_key,
)
from jobs.commits.names import DATA
from jobs.storage.objects import AbsentError, Objects

LOGGER = logging.getLogger(__name__)

#: Holds the number of the newest sequence, for the day that its manifests are lost.
_LAST_NUMBER = f"{MANIFESTS}last_number"
#: Attempts to add a sequence while other runs add theirs.
_RACES = 10
_THREADS = 16


def newest_sequence(output_version: Objects) -> Manifest | None:
    """The newest manifest, None before the first. It stands in two places; where one of them is behind, lost or
    damaged, as after a run that died in between, it is written again from the other. Raises InputError when neither can
    be read."""
    kept, copy = kept_sequences(output_version), None
    with suppress(InputError):
        copy = read_manifest(output_version)
    if copy is not None and (not kept or kept[-1] < copy.sequence):
        output_version.put(manifest_key(copy.sequence), copy.to_json())
        return copy
    if not kept:
        return None
    try:
        newest = read_manifest(output_version, kept[-1])
    except InputError:
        if copy is None or copy.sequence != kept[-1]:
            raise
        output_version.put(manifest_key(copy.sequence), copy.to_json())
        return copy
    if copy != newest:
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
        sequence, feeds = _next_number(output_version), list[Feed]()
        if last is not None and last.sequence == sequence - 1:
            feeds = _still_useful([*last.feeds, *_feed(output_version, last, counting, keep)], sequence, keep)
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
            output_version.put(_LAST_NUMBER, str(sequence).encode())
            return manifest
    raise RunError(f"{output_version.uri}: other runs keep adding sequences: let one job run at a time")


def retire_files(output_version: Objects, keys: Collection[str]) -> None:
    """Take files out of `data/` that do not count any more. Those that a kept manifest names stay readable elsewhere,
    and the manifest says where."""
    if not keys:
        return
    wanted, older = set(keys), _older_manifests(output_version)
    if None in older:  # what cannot be read may name any of them: they go another day
        return
    manifests = [manifest for manifest in older if manifest is not None]
    named = (file for manifest in manifests for file in manifest.files)
    moved = {file.path: superseded_key(file) for file in named if file.path in wanted}
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(partial(_copy, output_version), moved.keys(), moved.values()))
        for manifest in manifests:
            files = [replace(file, path=moved.get(file.path, file.path)) for file in manifest.files]
            _rewrite(output_version, manifest, replace(manifest, files=files))
        list(threads.map(output_version.delete, wanted))


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
    feeds = {feed.path for feed in _still_useful(newest.feeds, newest.sequence, keep)}
    older = _older_manifests(output_version)
    if None in older:  # what cannot be read may name any file
        return forgotten
    manifests = [*(manifest for manifest in older if manifest is not None), newest]
    for manifest in manifests:
        useful = [feed for feed in manifest.feeds if feed.path in feeds]
        _rewrite(output_version, manifest, replace(manifest, feeds=useful))
    newest_sequence(output_version)  # manifest.json says the same before a feed goes
    files = [file for manifest in manifests for file in manifest.files]
    named = feeds | {file.path for file in files} | {superseded_key(file) for file in files}
    there = [info.key for folder in (SUPERSEDED, FEEDS) for info in output_version.list(folder)]
    coming = feed_key(newest.sequence + 1)  # a run beside this one may have written a feed that no manifest names yet
    unnamed = [key for key in there if key not in named and not (key.startswith(FEEDS) and key >= coming)]
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(output_version.delete, unnamed))
    return forgotten


def _older_manifests(output_version: Objects) -> list[Manifest | None]:
    """All kept manifests but the newest; None in the place of one that cannot be read."""
    manifests: list[Manifest | None] = []
    for sequence in kept_sequences(output_version)[:-1]:
        try:
            manifests.append(read_manifest(output_version, sequence))
        except AbsentError:  # another run has swept it
            continue
        except InputError as problem:
            LOGGER.warning("%s; until then no old file is deleted", problem)
            manifests.append(None)
    return manifests


def _next_number(output_version: Objects) -> int:
    """The number of the next sequence. None is used twice, also where manifests were lost: loaders remember theirs."""
    used = kept_sequences(output_version)
    with suppress(InputError, ValueError):
        used.append(int(output_version.read(_LAST_NUMBER)))
    return max(used, default=0) + 1


def _copy(output_version: Objects, key: str, to: str) -> None:
    """Copy a file that another run may have moved meanwhile."""
    with suppress(AbsentError):
        output_version.copy(key, to)


def _rewrite(output_version: Objects, old: Manifest, new: Manifest) -> None:
    """Replace a kept manifest, unless another run has swept it."""
    key = manifest_key(old.sequence)
    if new != old and output_version.stat(key) is not None:
        output_version.put(key, new.to_json())


def _feed(output_version: Objects, last: Manifest, files: Sequence[OutputFile], keep: int) -> list[Feed]:
    """The feed from the last sequence to these files, if one is wanted and can be made."""
    try:
        return [write_feed(output_version, last, files)] if keep > 1 else []
    except InputError as problem:  # no reason to be without a new sequence
        LOGGER.warning("no feed, loaders must load all of it: %s", problem)
        return []


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
                "version at the same time, or it was damaged. Delete it if it is there, and run compress again. Of a "
                "shard that has left the source it cannot be made again: then set output.removed: delete"
            )
