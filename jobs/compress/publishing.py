"""The last step of a complete run: what counts now becomes the newest sequence; what counts no more leaves `data/`.

Only what was listed before the run is retired: a run beside this one may be about to commit more. While work items are
open nothing is: it may still be needed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from adaptor.errors import InputError, RunError
from jobs.commits.context import JobContext
from jobs.commits.ledger import LedgerRecord, read_records
from jobs.commits.manifest import Manifest, OutputFile
from jobs.commits.names import DATA, RecordName, shard_hash, source_keys
from jobs.commits.pointer import pinned_sequences
from jobs.commits.sequences import Contents, add_sequence, newest_sequence, retire_files, sweep
from jobs.commits.work_items import WorkItem
from jobs.compress.drift import Drift, DriftError, Kind
from jobs.compress.listing import Listing
from jobs.compress.preflight import known_quality
from jobs.compress.report import Totals
from jobs.config.compress import CompressConfig
from jobs.sources.source import Shard
from jobs.storage.objects import AbsentError, Objects
from jobs.storage.open import open_objects

LOGGER = logging.getLogger(__name__)

#: Most records that are read again at the end of a run: a minute or so on S3. The manifest knows the rest.
_READ_AGAIN = 20_000

Done = Sequence[LedgerRecord | InputError]


@dataclass(frozen=True)
class Removed:
    """Records of shards that have left the source: those whose outputs stay all the same, and those to delete."""

    kept: list[LedgerRecord] = field(default_factory=list)
    gone: list[RecordName] = field(default_factory=list)


def done_records(output_version: Objects, done: Sequence[WorkItem]) -> Done:
    """The records of the work items that were done before the run, or why one cannot be read. Of too many only those
    that no manifest names yet."""
    if len(done) > _READ_AGAIN:
        published = _published(output_version)
        done = [item for item in done if item.output not in published]
    return read_records(output_version, (item.record for item in done))


def _published(output_version: Objects) -> dict[str, OutputFile]:
    """The files of the newest manifest by path."""
    last = newest_sequence(output_version)
    return {file.path: file for file in last.files} if last else {}


def publish_sequence(context: JobContext[CompressConfig], listing: Listing, totals: Totals, done: Done) -> Manifest:
    """Write the manifest of a complete run, then tidy up; `done` are the `done_records`. Does nothing twice: it belongs
    to the end of every complete run. Raises DriftError when what is new must not be published."""
    output_version, keep = context.output_version, context.config.output.keep_sequences
    removed = _removed(context, listing.plan.removed)
    drift = _check_drift(context, totals, [*done, *removed.kept])
    files = [*totals.files, *_files(output_version, listing.plan.done, done), *map(OutputFile.of, removed.kept)]
    output = context.config.output
    contents = Contents(
        description=context.description,
        source_snapshot=context.source.snapshot(),
        evidence={
            "quality": known_quality(context.adaptor, output.dim, output.encoding),
            **_drift_evidence(output_version, drift, files),
        },
        files=files,
    )
    manifest = add_sequence(output_version, contents, keep)
    totals.files_removed = _retire(context, listing, manifest, removed)
    _sweep(context)
    return manifest


def _sweep(context: JobContext[CompressConfig]) -> None:
    """Forget old sequences. While nobody can tell which are in use, none goes."""
    output, output_version = context.config.output, context.output_version
    try:
        name = output_version.uri.rstrip("/").rpartition("/")[2]
        pinned = pinned_sequences(open_objects(output.uri, output.filesystem), name)
    except InputError as problem:
        LOGGER.warning("old sequences are kept: %s", problem)
        return
    sweep(output_version, output.keep_sequences, pinned)


def _check_drift(context: JobContext[CompressConfig], totals: Totals, done: Done) -> Drift:
    """Judge all that was compressed since the last sequence, also by runs that were interrupted or stopped."""
    last, action = newest_sequence(context.output_version), context.config.quality.on_drift
    published = {file.path for file in last.files} if last else set()
    earlier = [record for record in done if isinstance(record, LedgerRecord) and record.output not in published]
    drift = totals.drift = Drift.of(context.adaptor, [*earlier, *totals.drifts])
    notes = drift.notes(context.adaptor.document.get("drift", {}))
    if notes and action != "note":
        still = f"sequence {last.sequence} counts as before" if last else "nothing counts yet"
        raise DriftError(
            f"{'. '.join(notes)}. As quality.on_drift is {action}, nothing was published, {still}: set it to note to "
            "go on all the same",
            drift,
        )
    totals.notes += notes
    return drift


def _drift_evidence(output_version: Objects, drift: Drift, files: Sequence[OutputFile]) -> dict[str, Any]:
    """Which of the files that count have drifted: the new ones, and those of which earlier sequences said so."""
    last = newest_sequence(output_version)
    before = last.evidence.get("drifted", {}) if last else {}
    published = {file.path for file in last.files} if last else set()
    drifted = {}
    for file in files:
        new: Kind = "space" if file.shard in drift.space else "topic" if file.shard in drift.topic else "none"
        kind = before.get(file.path, "none") if file.path in published else new
        if kind != "none":
            drifted[file.path] = kind
    worst = next((kind for kind in ("space", "topic") if kind in drifted.values()), "none")
    return {"drift": worst, "drifted": drifted}


def _files(output_version: Objects, items: Sequence[WorkItem], done: Done) -> list[OutputFile]:
    """The outputs of work items that were done before, by their records; the newest manifest knows the rest. Raises
    InputError for a record that cannot be read."""
    files = {}
    for record in done:
        if isinstance(record, InputError):
            raise record
        files[record.output] = OutputFile.of(record)
    published = _published(output_version) if len(files) < len(items) else {}
    found = [files.get(item.output) or published.get(item.output) for item in items]
    if None in found:
        raise RunError("another run changes this output version at the same time: run compress again")
    return [file for file in found if file is not None]


def _removed(context: JobContext[CompressConfig], names: Sequence[RecordName]) -> Removed:
    """Which outputs of removed shards stay. Listings may be late: such a shard is looked for once more."""
    removed, published = Removed(), _published(context.output_version) if names else {}
    for name, record in zip(names, read_records(context.output_version, names), strict=True):
        if isinstance(record, LedgerRecord):
            stays = context.keeps_removed or context.source.has(record.shard)
            if record.output not in published and context.config.quality.on_drift != "note":
                # What was held back for its drift is repaired by taking it out of the source.
                stays &= Drift.of(context.adaptor, [record]).kind == "none"
            removed.kept.append(record) if stays else removed.gone.append(name)
        elif isinstance(record, AbsentError):  # a run beside this one has deleted it
            continue
        elif context.keeps_removed:
            raise record
        else:
            removed.gone.append(name)
    return removed


def _retire(context: JobContext[CompressConfig], listing: Listing, manifest: Manifest, removed: Removed) -> int:
    """Delete records and files that do not count; how many."""
    output_version, plan = context.output_version, listing.plan
    items = {item.shard.key: item.shard for item in (*plan.todo, *plan.done)}
    hashes = {shard_hash(key): shard for key, shard in items.items()}
    changed = {
        shard.key for name in plan.superseded if (shard := hashes[name.shard]) and not _unchanged(context, shard)
    }
    superseded = [name for name in plan.superseded if hashes[name.shard].key not in changed]
    for name in (*superseded, *removed.gone):
        output_version.delete(name.key)
    orphans = _orphans(context, listing, items.keys() - changed)
    orphans -= {file.path for file in manifest.files} | {record.quarantine for record in removed.kept}
    data = [key for key in orphans if key.startswith(DATA)]
    retire_files(output_version, data)
    for key in orphans.difference(data):
        output_version.delete(key)
    return len(superseded) + len(removed.gone) + len(orphans)


def _orphans(context: JobContext[CompressConfig], listing: Listing, listed: Collection[str]) -> set[str]:
    """Outputs and files of rejected rows that belong to nothing. Those of a shard that is there, but was not `listed`
    as it is now, may belong to another run."""
    plan, suffix = listing.plan, context.output_format.suffix
    named = {key for item in (*plan.todo, *plan.done) for key in (item.output, item.quarantine)}
    return {
        key
        for key in listing.files - named
        if not any(map(context.source.has, source_keys(key, suffix).difference(listed)))
    }


def _unchanged(context: JobContext[CompressConfig], shard: Shard) -> bool:
    """Whether the shard is still as it was listed. If not, what looks superseded may be the newer one."""
    try:
        context.source.check_unchanged(shard)
    except InputError:
        return False
    return True
