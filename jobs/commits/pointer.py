"""The pointer beside the output versions: which of them, as of which sequence, is the one in use."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from adaptor.errors import InputError
from jobs.storage.objects import Objects

POINTER = "current.json"
#: Earlier promotions that are remembered.
_REMEMBERED = 20


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """An output version (the name of its folder) as of a sequence, and when it was promoted, UTC."""

    output_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][^/]*$")]
    sequence: Annotated[int, Field(ge=1)]
    adaptor_id: str
    promoted: str

    @classmethod
    def now(cls, output_version: str, sequence: int, adaptor_id: str) -> Promotion:
        """A promotion at this moment."""
        promoted = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return cls(output_version=output_version, sequence=sequence, adaptor_id=adaptor_id, promoted=promoted)


@dataclass(frozen=True, kw_only=True)
class Pointer(Promotion):
    """The promotion that counts, `earlier` ones, newest first, and those `rolled_back` since the last promotion."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    format: int = 1
    earlier: tuple[Promotion, ...] = ()
    rolled_back: tuple[Promotion, ...] = ()

    @property
    def current(self) -> Promotion:
        """What it points to."""
        return Promotion(**{name: getattr(self, name) for name in Promotion.__dataclass_fields__})

    def names(self, output_version: str, sequence: int) -> bool:
        """Whether it points there."""
        return (self.output_version, self.sequence) == (output_version, sequence)

    def refuses(self, output_version: str, sequence: int) -> bool:
        """Whether that is what somebody has gone back from: it is not for a job to promote it again."""
        return any((one.output_version, one.sequence) == (output_version, sequence) for one in self.rolled_back)


_POINTER = TypeAdapter(Pointer)


def read_pointer(outputs: Objects) -> Pointer | None:
    """What is in use among the output versions of a folder; None before the first promotion. Raises InputError for a
    damaged pointer."""
    if outputs.stat(POINTER) is None:
        return None
    try:
        return _POINTER.validate_json(outputs.read(POINTER))
    except ValueError as problem:
        reason = " ".join(str(problem).split())[:300]
        raise InputError(
            f"{outputs.uri}/{POINTER} is damaged ({reason}): restore it, or delete it and promote again"
        ) from problem


def promote(outputs: Objects, promotion: Promotion) -> Pointer:
    """Point to this from now on: one atomic write."""
    old = read_pointer(outputs)
    if old is not None and old.names(promotion.output_version, promotion.sequence):
        return _write(outputs, replace(old, rolled_back=())) if old.rolled_back else old
    earlier = () if old is None else (old.current, *old.earlier)
    return _write(outputs, Pointer(**asdict(promotion), earlier=earlier[:_REMEMBERED]))


def roll_back(outputs: Objects) -> Pointer:
    """Point to what was promoted before. Raises InputError when nothing was."""
    old = read_pointer(outputs)
    if old is None or not old.earlier:
        raise InputError(f"{outputs.uri} has no earlier promotion to go back to: promote a version")
    target, *rest = old.earlier
    return _write(outputs, Pointer(**asdict(target), earlier=tuple(rest), rolled_back=(old.current, *old.rolled_back)))


def pinned_sequences(outputs: Objects, output_version: str) -> set[int]:
    """The sequences of this output version that the pointer names, now or as the one to go back to."""
    pointer = read_pointer(outputs)
    if pointer is None:
        return set()
    promotions = (pointer.current, *pointer.earlier[:1])
    return {one.sequence for one in promotions if one.output_version == output_version}


def _write(outputs: Objects, pointer: Pointer) -> Pointer:
    outputs.put(POINTER, json.dumps(asdict(pointer), indent=1).encode() + b"\n")
    return pointer
