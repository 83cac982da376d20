"""A generation: the folder of all outputs of one adaptor, width and number type, and what it must agree with.

<output.uri>/<first 16 digits of the adaptor id>-w<width>-<dtype>/
  data/…           short shards under the keys of the store
  _ledger/…        one record per finished work item
  _quarantine/…    rejected rows
  _failed/…        why work items were given up
  _attempts/…      how often one that is still open has killed its worker
  generation.json  what all of it was made with; config.json and summary.json are those of the last run
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.commands import CompressOutputSection
from jobs.config.sections import StoreSection
from jobs.config.uris import scheme_of
from jobs.storage.local import LocalObjects
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

DESCRIPTION = "generation.json"


def open_generation(output: CompressOutputSection, adaptor: Adaptor, width: int) -> Objects:
    """The generation's folder below `output.uri`, which need not exist yet."""
    name = f"{adaptor.adaptor_id[:16]}-w{width}-{output.dtype}"
    above = output.uri.rstrip("/")
    return open_objects(f"{above}{'//' if above.endswith(':') else ''}/{name}", output.filesystem)


def describe(store: StoreSection, adaptor: Adaptor, width: int, output: CompressOutputSection) -> dict[str, Any]:
    """What `generation.json` says: everything that two runs must share to add to one generation."""
    return {
        "format": 1,
        "adaptor_id": adaptor.adaptor_id,
        "d": adaptor.dim,
        "m": width,
        "metric": adaptor.metric,
        "normalised": adaptor.metric == "cosine",
        "dtype": output.dtype,
        "row_group_rows": output.row_group_rows,
        "compression": output.compression,
        "store": place(store.uri),
        "id_column": store.id_column,
        "vector_column": store.vector_column,
    }


def stamps(description: dict[str, Any], source: str, version: str) -> dict[str, str]:
    """Footer values of the output made from the shard `source`, by name (without the prefix of `output.STAMP`)."""
    shared = {key: description[key] for key in ("adaptor_id", "d", "m", "metric", "normalised", "dtype")}
    texts = {key: json.dumps(value) if not isinstance(value, str) else value for key, value in shared.items()}
    return {**texts, "source": source, "source_version": version}


def claim(generation: Objects, description: dict[str, Any]) -> None:
    """Write `generation.json`, or check that the one there says the same; `InputError` says what differs."""
    if not generation.put_new(DESCRIPTION, json.dumps(description, indent=2).encode() + b"\n"):
        check_description(generation, description)


def check_description(generation: Objects, description: dict[str, Any]) -> None:
    """`InputError` when there is no generation here, or one that was made with other settings."""
    if generation.stat(DESCRIPTION) is None:
        raise InputError(f"{generation.uri} holds no generation ({DESCRIPTION} is missing): run compress first")
    try:
        there = json.loads(generation.read(DESCRIPTION))
        differences = [
            f"{key} {there.get(key)!r} (now {value!r})" for key, value in description.items() if there.get(key) != value
        ]
    except (ValueError, AttributeError) as problem:
        raise InputError(f"{generation.uri}/{DESCRIPTION} is damaged ({problem}): restore it") from problem
    if differences:
        raise InputError(
            f"{generation.uri} was written with other settings: {', '.join(differences)}. "
            "Use those settings, give another output.uri, or delete that folder to start again"
        )


def check_apart(store: StoreSection, output: CompressOutputSection) -> None:
    """`InputError` when the output lies inside the store: its files would be taken for shards of the store."""
    inside, around = _real(output.uri), _real(store.uri)
    rest = inside.removeprefix(around)
    hidden: Sequence[str] = [part for part in rest.split("/") if part.startswith(("_", "."))]
    if inside == around or (inside.startswith(around + "/") and not hidden):
        raise InputError(f"output.uri {output.uri} lies inside store.uri {store.uri}: write somewhere else")


def place(uri: str) -> str:
    """One spelling for one place: absolute paths for local folders, no slash at the end."""
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return str(LocalObjects(uri).root).rstrip("/")
    return f"{scheme}{uri[len(scheme) :]}".rstrip("/")


def _real(uri: str) -> str:
    """The place behind links, `..` and other spellings. Not what `generation.json` names: a link may be moved to a copy
    of the store."""
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return os.path.realpath(place(uri) or "/").rstrip("/")
    # Of other drivers' spellings nothing is sure: some drop the host, which would make two stores one.
    return f"memory:///{uri.partition('://')[2].strip('/')}" if scheme == "memory" else place(uri)
