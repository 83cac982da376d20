"""Old output versions go. What is in use never does, and a sweep that was killed is finished by the next one."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from jobs.commits.manifest import MANIFEST, MANIFESTS, read_manifest
from jobs.commits.output_version import DESCRIPTION
from jobs.commits.pointer import pinned_sequences
from jobs.commits.sequences import sweep
from jobs.storage.objects import Objects
from jobs.versions.catalogue import Catalogue

_THREADS = 16


def sweep_all(catalogue: Catalogue, keep: int) -> list[str]:
    """Keep the `keep` newest complete output versions, as many sequences of each, and what the pointer names now or
    named before; which were deleted. Folders without a manifest stay: a run may be filling them."""
    deleted = []
    complete = [name for name in catalogue.names() if catalogue.is_complete(name)]
    newest_first = sorted(complete, key=lambda name: read_manifest(catalogue.folder(name)).created, reverse=True)
    for place, name in enumerate(newest_first):
        folder, pinned = catalogue.folder(name), pinned_sequences(catalogue.outputs, name)
        if place < keep or pinned:
            deleted += [f"{name}@{sequence}" for sequence in sweep(folder, keep, pinned)]
        else:
            _delete(folder)
            deleted.append(name)
    return deleted


def _delete(folder: Objects) -> None:
    """Delete all of an output version. It stops being one with the first file, and is listed up to the last."""
    keys = [info.key for info in folder.list()]
    first = [key for key in keys if key.startswith(MANIFESTS)]
    last = [key for key in keys if key in (MANIFEST, DESCRIPTION)]
    for group in (first, sorted(set(keys).difference(first, last)), sorted(last, key=lambda key: key == DESCRIPTION)):
        _delete_keys(folder, group)


def _delete_keys(folder: Objects, keys: Iterable[str]) -> None:
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(folder.delete, keys))
