"""The note of a target that is a folder of files: `export.json`, written last."""

from __future__ import annotations

from collections.abc import Iterable

from adaptor.errors import InputError
from jobs.export.state import State
from jobs.storage.objects import Objects

NOTE = "export.json"


def open_note(objects: Objects, files: Iterable[str] = ()) -> State | None:
    """The note in a folder; None where there is none. Raises InputError when the folder holds other things, or when one
    of `files` is missing beside the note."""
    if objects.stat(NOTE) is None:
        return None
    missing = [name for name in files if objects.stat(name) is None]
    if missing:
        raise InputError(
            f"{objects.uri} lacks {missing[0]}, which its {NOTE} tells of: delete {NOTE}, then export again"
        )
    return State.from_json(objects.read(NOTE), f"{objects.uri}/{NOTE}")
