"""The schema of `matryoshka versions`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adaptor.settings import Settings
from jobs.config.compress import EvidenceMeasure
from jobs.config.sections import Location

#: How many versions each action takes.
_TAKES = {"compare": 2, "promote": 1}


class GateSection(Settings):
    """What a version must show before it is promoted."""

    minimum: dict[EvidenceMeasure, Annotated[float, Field(gt=0, le=1)]] = Field(default={})
    """Least value of a measure in the evidence of its adaptor, as in `overlap@10: 0.8`; the lower end of the 95%
    interval counts."""
    verified: bool = True
    """Whether `matryoshka verify` must have found this very sequence complete and right."""
    another_space: bool = False
    """Whether a sequence may count that brought vectors of another space."""


class VersionsConfig(Settings):
    """List output versions, compare two, choose the one in use, go back, delete old ones."""

    action: Literal["list", "compare", "promote", "rollback", "sweep"] = Field(
        default="list", json_schema_extra={"argument": True}
    )
    """What to do: list; compare two; promote one (point current.json to it); rollback (point it to what was promoted
    before); sweep (forget all but the newest)."""
    output: Location
    """The folder that holds the output versions, `output.uri` of compress."""
    versions: tuple[str, ...] = ()
    """What to compare or promote: names of folders, or their beginnings; `NAME@3` is NAME as of sequence 3, without
    that the newest one. To promote, null is the newest of all."""
    keep: int = Field(default=3, ge=1)
    """sweep: output versions that are kept, and sequences of each; what is in use, or was before, is never deleted."""
    gate: GateSection = GateSection()
    report: Literal["text", "json"] = "text"
    """How the result is printed."""

    @model_validator(mode="after")
    def _as_many_as_it_takes(self) -> Self:
        most = _TAKES.get(self.action, 0)
        if len(self.versions) > most or (self.action == "compare" and len(self.versions) < most):
            raise ValueError(f"{self.action} takes {most or 'no'} versions, {len(self.versions)} are given")
        return self
