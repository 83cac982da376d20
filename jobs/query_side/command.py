"""`matryoshka query-side FORMAT`: the adaptor as what an application makes queries with. In seconds and without Ray.

1. Open the adaptor, which checks its canary. 2. Take dim and encoding from the index, or as given. 3. Make the files
(a format of registry.py). 4. Write them, the description last. 5. Print how they are used.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from adaptor.errors import InputError
from adaptor.query_side.description import DESCRIPTION, STAMPS, parse_description
from adaptor.query_side.exported import QuerySide, query_side
from jobs.commits.output_version import DESCRIPTION as INDEX_DESCRIPTION
from jobs.config.query_side import IndexSection, QuerySideConfig, QuerySideOutputSection
from jobs.query_side.query_format import open_query_format
from jobs.storage.adaptors import read_adaptor
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects


def run(config: QuerySideConfig) -> int:
    """Write the query side; 0. Raises `InputError` when adaptor, index and configuration do not fit together."""
    adaptor = read_adaptor(open_objects(config.adaptor.uri, config.adaptor.filesystem))
    column = _column(config.output, None if config.index is None else _stored(config.index, adaptor.adaptor_id))
    side = query_side(adaptor, **column)
    output = open_objects(config.output.uri, config.output.filesystem)
    _check_free(output, side)
    query_format = open_query_format(config.output.format)
    files = query_format.files(side)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        output.put(name, content)
    output.put(DESCRIPTION, side.description.model_copy(update={"files": hashes}).to_json())
    total, uri = sum(map(len, files.values())), config.output.uri
    sys.stdout.write(
        f"{config.output.format} of adaptor {adaptor.adaptor_id[:16]}, dim {column['dim']}, {column['encoding']}: "
        f"{total / 1e6:.2f} MB written to {uri}\n\n"
        + query_format.usage.format(folder="a local copy of it" if "://" in uri else uri)
    )
    return 0


def _stored(index: IndexSection, adaptor_id: str) -> list[dict[str, Any]]:
    """Dim and encoding of each column of vectors in an output version. Raises InputError when it is none, and when
    another adaptor made it."""
    folder = open_objects(index.uri, index.filesystem)
    if folder.stat(INDEX_DESCRIPTION) is None:
        raise InputError(
            f"index.uri {index.uri} holds no output version ({INDEX_DESCRIPTION} is missing): give the folder that "
            "compress wrote below its output.uri"
        )
    try:
        described = json.loads(folder.read(INDEX_DESCRIPTION))
        columns = [{name: part[name] for name in STAMPS[1:]} for part in (described, described.get("rescore")) if part]
        owner = str(described["adaptor_id"])
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{index.uri}/{INDEX_DESCRIPTION} is damaged ({problem!r}): restore it") from problem
    if owner != adaptor_id:
        raise InputError(
            f"index.uri {index.uri} was made by adaptor {owner[:16]}, adaptor.uri is {adaptor_id[:16]}: its codes mean "
            "nothing to another one; give the adaptor that made it"
        )
    return columns


def _column(output: QuerySideOutputSection, stored: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Dim and encoding as given, or of the first column of the index that agrees with what is given."""
    given = {name: getattr(output, name) for name in STAMPS[1:] if getattr(output, name) is not None}
    if stored is None:
        return given
    for column in stored:
        if given.items() <= column.items():
            return column
    held = " and ".join(f"dim {column['dim']} as {column['encoding']}" for column in stored)
    asked = ", ".join(f"output.{name} is {value}" for name, value in given.items())
    raise InputError(f"{asked}, but the index holds {held}: leave both out, or give those of the index")


def _check_free(output: Objects, side: QuerySide) -> None:
    """Raise InputError where the folder holds the query side of something else: applications may read it."""
    if output.stat(DESCRIPTION) is None:
        return
    old = parse_description(output.read(DESCRIPTION), f"{output.uri}/{DESCRIPTION}")
    differing = [name for name in STAMPS if getattr(old, name) != getattr(side.description, name)]
    if differing:
        held = ", ".join(f"{name} {getattr(old, name)}" for name in differing)
        raise InputError(
            f"output.uri {output.uri} holds the query side of {held}: give a new output.uri, or delete the folder first"
        )
