"""`matryoshka export TARGET`: load a complete output version into a vector database, or what has changed since the last
export. Files come from the manifest, changes from its feeds; the target remembers how far it is."""

from __future__ import annotations

import sys
from contextlib import closing

from adaptor.artefact import Adaptor
from adaptor.errors import InputError, RunError
from jobs.commits.manifest import MANIFEST, OutputFile, kept_sequences
from jobs.commits.pointer import read_pointer
from jobs.commits.version_reader import VersionReader
from jobs.config.credential_redaction import masked
from jobs.config.export import ExportConfig, VersionSection
from jobs.config.uris import below
from jobs.export.collection import Collection, describe_collection
from jobs.export.loading import Loading, ordered_files
from jobs.export.planning import Plan, PlanOptions, make_plan
from jobs.export.target import Target, open_target
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.storage.adaptors import read_adaptor
from jobs.storage.open import open_objects


def run(config: ExportConfig) -> int:
    """Export and print what was done; 0. Raises InputError and RunError, after which the same command goes on."""
    reader = open_version(config.version)
    section = config.destination
    collection = describe_collection(section.collection, reader.manifest.description, reader.schema(), section.payload)
    target = open_target(config.target, section, collection, _adaptor(config, collection))
    try:
        with closing(target):
            _export(config, reader, collection, target)
    except target.failures as problem:
        raise RunError(
            f"{config.target} at {masked(section.uri)}: {_message(problem)}. Once that is solved, the same command "
            "goes on where this one stopped"
        ) from problem
    return 0


def open_version(section: VersionSection) -> VersionReader:
    """The output version in the folder, or the one that its `current.json` names. Raises InputError when there is
    none."""
    objects, sequence = open_objects(section.uri, section.filesystem), section.sequence
    if objects.stat(MANIFEST) is None and (pointer := read_pointer(objects)) is not None:
        objects = open_objects(below(section.uri, pointer.output_version), section.filesystem)
        sequence = sequence or pointer.sequence
    return VersionReader.open(objects, sequence)


def _adaptor(config: ExportConfig, collection: Collection) -> Adaptor | None:
    """The configured adaptor; InputError unless it is that of the output version."""
    if config.adaptor is None:
        return None
    adaptor = read_adaptor(open_objects(config.adaptor.uri, config.adaptor.filesystem))
    if adaptor.adaptor_id != collection.adaptor_id:
        raise InputError(
            f"adaptor.uri holds adaptor {adaptor.adaptor_id[:16]}, the output version was made by "
            f"{collection.adaptor_id[:16]}: give that one"
        )
    return adaptor


def _export(config: ExportConfig, reader: VersionReader, collection: Collection, target: Target) -> None:
    manifest = reader.manifest
    kept = kept_sequences(reader.objects)
    options = PlanOptions(replace=config.replace, whole=target.takes.whole)
    plan = make_plan(manifest, collection.stamp, target.open(), kept, options)
    where = f"{config.target}, {collection.name} at {masked(config.destination.uri)}"
    if plan.note:
        print(plan.note, file=sys.stderr)
    print(f"{where}: {_intention(plan, reader)}")
    if config.dry_run:
        print("dry run: nothing was sent")
    elif plan.full is not None or plan.feeds:
        with Progress("export", total=_rows_to_send(plan, reader), unit="rows", rates=("rows",)) as progress:
            batch_rows = config.batch_rows or target.takes.batch_rows
            loading = Loading(
                target=target, reader=reader, collection=collection, batch_rows=batch_rows, progress=progress
            )
            lines = _load(loading, plan)
        print(*[f"now at sequence {manifest.sequence}, {plural(manifest.rows, 'rows')}", *lines], sep="\n")


def _load(loading: Loading, plan: Plan) -> list[str]:
    """Carry out the plan. What is wrong with a file of an older sequence may be right in the newest."""
    newest = loading.reader.manifest.sequence
    try:
        return loading.run(plan)
    except InputError as problem:
        if plan.full in (None, newest):
            raise
        raise InputError(f"{problem}; or --replace true to load sequence {newest} anew") from problem


def _files_to_send(plan: Plan, reader: VersionReader) -> list[OutputFile]:
    """What is left of a full load."""
    if plan.full is None:
        return []
    manifest = reader.manifest
    if plan.full != manifest.sequence:
        manifest = VersionReader.open(reader.objects, plan.full).manifest
    loaded = plan.state.files_loaded if plan.state else 0
    return ordered_files(manifest)[loaded or 0 :]


def _rows_to_send(plan: Plan, reader: VersionReader) -> int:
    return sum(file.rows for file in _files_to_send(plan, reader)) + sum(feed.upserts for feed in plan.feeds)


def _intention(plan: Plan, reader: VersionReader) -> str:
    """What the plan comes to, in words."""
    parts = []
    if plan.full is not None:
        left = _files_to_send(plan, reader)
        rows, size = sum(file.rows for file in left), sum(file.bytes for file in left)
        files = f"{plural(rows, 'rows')} of {plural(len(left), 'files')} ({size:,} bytes)"
        parts.append(f"full load of sequence {plan.full}, {files}")
    parts += [f"sequence {feed.sequence}, {feed.upserts:,} upserts and {feed.deletes:,} deletes" for feed in plan.feeds]
    return "; ".join(parts) or f"up to date at sequence {reader.manifest.sequence}"


def _message(problem: Exception) -> str:
    """The first lines of what an engine's library says, without logins."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return masked(text if len(text) < 500 else f"{text[:500]} …").rstrip(".")
