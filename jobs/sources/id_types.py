"""One type of ids in all shards: otherwise the outputs cannot be read as one table."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.config.sections import SourceSection
from jobs.sources.ids import id_type_name, is_id_type
from jobs.sources.source import Source

#: Shards that are looked at for the type of the ids: the first may be unreadable.
_MOST_LOOKED_AT = 5


class IdTypes:
    """Compares the type of the ids of each shard with that which the section names, or that of the first shard."""

    def __init__(self, source: Source, section: SourceSection) -> None:
        self._source, self._section = source, section
        self._first: tuple[str, str] | None = None
        self._looking = False

    def wanted(self) -> str | None:
        """The type that all must have: that of the section, or of the first shard that can be read; None: any."""
        if self._section.ids.mixed != "stop":
            return None
        if self._section.ids.type is None:
            self._look()
        return self._section.ids.type or (None if self._first is None else self._first[0])

    def check(self, key: str, schema: pa.Schema) -> None:
        """`InputError` when the shard with this key and schema has another type; it names a shard that has the one."""
        section = self._section
        index = schema.get_field_index(section.id_column)
        if section.ids.mixed != "stop" or index < 0 or not is_id_type(schema.field(index).type):  # columns.py says that
            return
        name = id_type_name(schema.field(index).type)
        if self._first is None and section.ids.type in (None, name):
            self._first = (name, key)
        wanted = section.ids.type or (name if self._first is None else self._first[0])
        if name == wanted or self._looking:
            return
        self._look()  # a worker knows the type, but not yet a file that has it
        where = "source.ids.type" if self._first is None else self._first[1]
        raise InputError(
            f"{self._source.uri}: {key}: column '{section.id_column}' is of type {name}, in {where} it is {wanted}: "
            "write both alike, or set source.ids.mixed: text to write all ids as text"
        )

    def _look(self) -> None:
        """Describe the first shards, until one has ids of the wanted type."""
        self._looking = True
        with suppress(InputError, RunError):
            for shard in self._source.shards()[:_MOST_LOOKED_AT]:
                if self._first is None:
                    with suppress(InputError, RunError):
                        self._source.describe(shard)
        self._looking = False
