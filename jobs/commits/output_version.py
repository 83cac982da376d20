"""An output version: the folder of all outputs of one adaptor, dim and encoding (jobs/README.md lists its files).

With a second column of vectors its dim and encoding are part of the name, too.
"""

from __future__ import annotations

import json
import os
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.compress import CompressOutputSection, RescoreSection
from jobs.config.sections import SourceSection
from jobs.config.uris import below, scheme_of
from jobs.storage.local import LocalObjects
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

DESCRIPTION = "output_version.json"


def open_output_version(output: CompressOutputSection, adaptor: Adaptor) -> Objects:
    """The folder below `output.uri`, which need not exist yet. `InputError` when the adaptor gives fewer dims."""
    names = []
    for field, part in (("output.dim", output), ("output.rescore.dim", output.rescore)):
        if part is None:
            continue
        if part.dim > adaptor.input_dim:
            raise InputError(
                f"{field} is {part.dim}, but the adaptor takes and gives at most {adaptor.input_dim} dimensions: "
                f"set a dim from 1 to {adaptor.input_dim} (trained: {', '.join(map(str, adaptor.dims))})"
            )
        names.append(f"d{part.dim}-{part.encoding}")
    name = f"{adaptor.adaptor_id[:16]}-{'+'.join(names)}"
    return open_objects(below(output.uri, name), output.filesystem)


def describe(source: SourceSection, adaptor: Adaptor, output: CompressOutputSection) -> dict[str, Any]:
    """What `output_version.json` says: all that runs must share to add to one output version."""
    return {
        "format": 3,
        "adaptor_id": adaptor.adaptor_id,
        "input_dim": adaptor.input_dim,
        "dim": output.dim,
        "metric": adaptor.metric,
        "normalised": adaptor.metric == "cosine",
        "encoding": output.encoding,
        "rescore": output.rescore and {**output.rescore.model_dump(), "column": rescore_column(source, output.rescore)},
        "file_format": output.format,
        "row_group_rows": output.row_group_rows,
        "compression": output.compression,
        "source": location(source.uri),
        "id_column": source.id_column,
        "vector_column": source.vector_column,
        "columns": _columns(source),
    }


def _columns(source: SourceSection) -> dict[str, Any] | None:
    """How ids and vectors are stored and what goes along; None when all of that is left at its defaults."""
    default, found = (
        {**section.ids.model_dump(exclude={"type"}), **section.vectors.model_dump(), "payload": section.payload_columns}
        for section in (SourceSection(uri=source.uri), source)
    )
    return None if found == default else {**found, "payload": found["payload"] and list(found["payload"])}


def rescore_column(source: SourceSection, rescore: RescoreSection) -> str:
    """The name of the second column of vectors."""
    return rescore.column or f"{source.vector_column}_rescore"


def claim(output_version: Objects, description: dict[str, Any]) -> None:
    """Write `output_version.json`, or check that the one there says the same; `InputError` says what differs."""
    if not output_version.put_new(DESCRIPTION, json.dumps(description, indent=2).encode() + b"\n"):
        check_description(output_version, description)


def check_description(output_version: Objects, description: dict[str, Any]) -> None:
    """`InputError` when there is no output version, or one that was made with other settings."""
    if output_version.stat(DESCRIPTION) is None:
        raise InputError(f"{output_version.uri} holds no output version ({DESCRIPTION} is missing): run compress first")
    try:
        old = json.loads(output_version.read(DESCRIPTION))
        differences = [
            f"{key} {old.get(key)!r} (now {new!r})" for key, new in description.items() if old.get(key) != new
        ]
    except (ValueError, AttributeError) as problem:
        raise InputError(f"{output_version.uri}/{DESCRIPTION} is damaged ({problem}): restore it") from problem
    if differences:
        raise InputError(
            f"{output_version.uri} was written with other settings: {', '.join(differences)}. "
            "Use those settings, give another output.uri, or delete that folder to start again"
        )


def check_apart(source: SourceSection, output: CompressOutputSection) -> None:
    """`InputError` when the output lies inside the source: its files would be taken for shards of the source."""
    inner, outer = _real(output.uri), _real(source.uri)
    hidden = any(part.startswith(("_", ".")) for part in inner.removeprefix(outer).split("/"))
    if inner == outer or (inner.startswith(outer + "/") and not hidden):
        raise InputError(f"output.uri {output.uri} lies inside source.uri {source.uri}: write somewhere else")


def location(uri: str) -> str:
    """One spelling for one location: absolute paths for local folders, no slash at the end."""
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return str(LocalObjects(uri).root).rstrip("/")
    return f"{scheme}{uri[len(scheme) :]}".rstrip("/")


def _real(uri: str) -> str:
    """The location behind links and `..`. Not what `output_version.json` says: a link may be moved to a copy."""
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return os.path.realpath(location(uri) or "/").rstrip("/")
    # Of other drivers' spellings nothing is sure: some drop the host, which would make two sources one.
    return f"memory:///{uri.partition('://')[2].strip('/')}" if scheme == "memory" else location(uri)
