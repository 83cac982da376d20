"""The adaptors that a job has fitted, each in a numbered folder of its own: the older ones still search old outputs."""

from __future__ import annotations

import re

from adaptor.identity import DOCUMENT
from jobs.config.sections import Location
from jobs.config.uris import below
from jobs.storage.folders import folder_names
from jobs.storage.open import open_objects

_NUMBER = re.compile(r"\d{4,}")


class FittedAdaptors:
    """The numbered folders below one URI. A folder without a document is that of a fit that was not finished."""

    def __init__(self, location: Location) -> None:
        self._objects = open_objects(location.uri, location.filesystem)
        self._uri = location.uri

    def newest(self) -> str | None:
        """URI of the newest finished adaptor; None before the first."""
        number = self._newest()
        return None if number is None else self._folder(number)

    def next(self) -> str:
        """URI of the folder for the next fit: also that of one that was not finished, which goes on there."""
        return self._folder((self._newest() or 0) + 1)

    def _newest(self) -> int | None:
        names = [name for name in folder_names(self._objects) if _NUMBER.fullmatch(name)]
        finished = [int(name) for name in names if self._objects.stat(f"{name}/{DOCUMENT}") is not None]
        return max(finished, default=None)

    def _folder(self, number: int) -> str:
        return below(self._uri, f"{number:04}")
