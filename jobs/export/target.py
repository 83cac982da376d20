"""The protocol of a target: a vector database that is loaded, or the files that its importer takes. registry.py lists
all targets, README.md shows how one is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import ClassVar, Protocol

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection
from jobs.export.registry import TARGETS
from jobs.export.rows import Rows
from jobs.export.state import State


@dataclass(frozen=True, kw_only=True)
class Takes:
    """What a target can hold. All of it is checked before anything is sent."""

    #: Encodings, each with the most dims that the engine documents, None where it documents no limit.
    encodings: Mapping[str, int | None]
    #: How it compares two vectors.
    comparisons: frozenset[str] = frozenset({"cosine", "dot", "l2", "hamming"})
    #: Kinds of index that it makes; the first is the default.
    indexes: tuple[str, ...] = ("none",)
    #: Whether it holds a second column of vectors.
    rescore: bool = True
    #: Whether it takes the adaptor's map along, which the configuration must then name.
    adaptor: bool = False
    #: Whether it is made anew, of all files at once, whenever something changed: no feeds, nothing to go on with.
    whole: bool = False
    #: Names that columns must not have.
    reserved: frozenset[str] = field(default=frozenset())
    #: Most bytes of an id as UTF-8, None where there is no limit; checked row by row before the row is sent.
    id_bytes: int | None = None
    #: Rows that are read and sent at once.
    batch_rows: int = 4096


class Target(Protocol):
    """One collection of an engine. Every step may run twice: what dies half-way is repeated by the next run.

    Made with the destination, the collection and the adaptor (None where none is given). Errors of the engine's library
    may come out of every method: `failures` are those that mean "the engine did not do it" and become a RunError.
    """

    takes: ClassVar[Takes]
    #: Exceptions of the engine's library.
    failures: tuple[type[Exception], ...]

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        """Check types of payload and ids. Connects to nothing. Raises InputError for what the target cannot hold."""

    def open(self) -> State | None:
        """Connect, and tell what an earlier export noted; None where there is no such collection. Changes nothing.

        Raises InputError when there is a collection that export did not make.
        """

    def create(self, state: State) -> None:
        """Make an empty collection that holds this note; what an earlier export made under its name is deleted."""

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Insert or replace rows by id. `new`: none of them can be there, so that plain inserts do."""

    def delete(self, rows: Iterator[Rows]) -> None:
        """Delete the rows of these ids; absent ones are fine."""

    def save(self, state: State) -> None:
        """Note how far the export has come. What was written and deleted before is then there for good."""

    def count(self) -> int | None:
        """Rows there, what was written since `save` included; None where that is unknown."""

    def finish(self) -> list[str]:
        """After the last row and before the last `save`: bring indexes up to date. Lines for the user."""

    def close(self) -> None:
        """Disconnect, also after an error and before `open`."""


def open_target(name: str, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> Target:
    """The target of this name, not connected yet. Raises InputError for what it cannot hold."""
    kind: type[Target] = resolve_name(TARGETS[name])
    check_fit(name, kind.takes, destination, collection)
    if kind.takes.adaptor and adaptor is None:
        raise InputError(f"{name} takes the adaptor's map along: give adaptor.uri")
    return kind(destination, collection, adaptor)


def check_fit(name: str, takes: Takes, destination: DestinationSection, collection: Collection) -> None:
    """InputError when a vector column, an index or a name is none that the target takes."""
    for column in collection.vectors:
        if column.encoding not in takes.encodings:
            raise InputError(
                f"{name} cannot hold column {column.name!r}, whose encoding is {column.encoding}: compress into one "
                f"that it takes ({', '.join(takes.encodings)})"
            )
        most = takes.encodings[column.encoding]
        if most is not None and column.dim > most:
            raise InputError(
                f"{name} holds at most {most:,} dimensions of {column.encoding}, column {column.name!r} has "
                f"{column.dim:,}: compress with a smaller output.dim"
            )
        if (comparison := collection.comparison(column)) not in takes.comparisons:
            raise InputError(
                f"{name} compares by {', '.join(sorted(takes.comparisons))}, column {column.name!r} is to be compared "
                f"by {comparison}: take another target"
            )
        if column.encoding == "uint8" and collection.metric == "dot":
            raise InputError(
                f"column {column.name!r} is uint8, which is compared by Euclidean distance: that does not rank as the "
                "adaptor's dot product does; compress into float16"
            )
    if collection.rescore and not takes.rescore:
        raise InputError(f"{name} holds one column of vectors: compress without output.rescore")
    if taken := sorted(takes.reserved & {*collection.schema.names}):
        raise InputError(f"{name} reserves the name {taken[0]!r}: rename the column, or leave it out (payload)")
    if destination.index not in (None, *takes.indexes):
        raise InputError(f"destination.index is {destination.index!r}: {name} has {', '.join(takes.indexes)}")


def check_id_length(rows: Rows, takes: Takes) -> None:
    """InputError at the first row whose id is longer than the target takes."""
    if takes.id_bytes is None:
        return
    for row, text in enumerate(rows.texts):
        if (size := len(text.encode())) > takes.id_bytes:
            raise rows.refused(row, rows.id_column, f"has {size:,} bytes; ids may have {takes.id_bytes:,}")
