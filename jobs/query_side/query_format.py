"""What a format of the query side must do. registry.py lists all formats."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Protocol

from adaptor.query_side.exported import QuerySide
from jobs.query_side.registry import QUERY_FORMATS


class QueryFormat(Protocol):
    """How the map, its normalisation and its encoding become files of another program."""

    #: Lines of Python that use what was written; `{folder}` stands for where it lies.
    usage: str

    def files(self, side: QuerySide) -> dict[str, bytes]:
        """The files by name, `/` between folders; the description is added to them.

        Raises InputError where the format cannot express this adaptor.
        """


def open_query_format(name: str) -> QueryFormat:
    """The format of this name, which the configuration has checked."""
    query_format: QueryFormat = resolve_name(QUERY_FORMATS[name])()
    return query_format
