"""An explicit list of the files that count: lines of text, Redshift's manifest, or a Databricks `_committed_` file."""

from __future__ import annotations

import json
from typing import Any

from adaptor.errors import InputError
from jobs.config.sections import FilesystemOptions
from jobs.config.uris import local_path, scheme_of
from jobs.storage.open import open_objects

_LIST_BYTES = 1 << 30


def read_list(list_uri: str, uri: str, options: FilesystemOptions, setting: str) -> dict[str, int | None]:
    """Keys below `uri` that the list names, with their sizes where it says so.

    `InputError` names the list and the entry: not below `uri`, named twice, or the list is none.
    """
    folder, _, name = list_uri.rpartition("/")
    text = open_objects(folder or ("/" if list_uri.startswith("/") else "."), options).read(name, _LIST_BYTES)
    try:
        entries = _entries(text.decode("utf-8-sig"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{setting}.files.list_uri {list_uri} is no list of files ({error}): give one URI a line, or a manifest "
            'as {"entries": [{"url": "…"}]}'
        ) from error
    keys: dict[str, int | None] = {}
    for entry, size in entries:
        key = _key(entry, uri)
        if key is None:
            raise InputError(f"{list_uri} names {entry}, which is not below {uri}: set {setting}.uri to what holds all")
        if key in keys:
            raise InputError(f"{list_uri} names {entry} twice: its rows would be doubled, keep one")
        keys[key] = size
    if not keys:
        raise InputError(f"{setting}.files.list_uri {list_uri} names no file: check it")
    return keys


def _entries(text: str) -> list[tuple[str, int | None]]:
    """URIs or paths, with sizes where they are given."""
    if not text.lstrip().startswith("{"):
        lines = (line.strip() for line in text.splitlines())
        return [(line, None) for line in lines if line and not line.startswith("#")]
    document: dict[str, Any] = json.loads(text)
    if "added" in document:  # Databricks
        removed = set(document.get("removed", ()))
        return [(str(name), None) for name in document["added"] if name not in removed]
    return [(str(entry["url"]), entry.get("meta", {}).get("content_length")) for entry in document["entries"]]


def _key(entry: str, uri: str) -> str | None:
    """The entry's key below `uri`, of which it may be a part; None when it lies elsewhere."""
    if not scheme_of(entry) and not entry.startswith("/"):
        return entry.removeprefix("./")
    place, other = _spelt(uri), _spelt(entry)
    return other[len(place) + 1 :] if other.startswith(f"{place}/") else None


def _spelt(uri: str) -> str:
    """One spelling of one location."""
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return str(local_path(uri)).rstrip("/")
    scheme = "s3" if scheme in ("s3a", "s3n") else scheme
    return f"{scheme}://{uri.partition('://')[2]}".rstrip("/")
