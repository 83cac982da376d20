"""What a user may demand of the short vectors, as typed settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from adaptor.settings import Settings
from jobs.config.messages import near

#: Measures that the artefact's evidence holds and that grow with quality.
EVIDENCE_METRICS = ("overlap@10", "overlap@100")

Share = Annotated[float, Field(gt=0, le=1)]


class QualitySection(Settings):
    """What the adaptor must be known to keep before anything is compressed with it."""

    minimum: dict[str, Share] = Field(default={})
    """Measure (`overlap@10`, `overlap@100`) with the least value that the artefact's evidence must show at
    `output.dim`, as in `overlap@10: 0.8`: the lower end of its 95% interval counts, and for a dim that was not
    trained the evidence of the next smaller trained one. Below it compress refuses to start (exit status 2). The
    evidence is of the fit's sample; a larger source keeps less (`matryoshka advise` says how much)."""

    @field_validator("minimum")
    @classmethod
    def _measures_are_known(cls, minimum: dict[str, float]) -> dict[str, float]:
        for name in minimum:
            if name not in EVIDENCE_METRICS:
                known = near(name, EVIDENCE_METRICS) or f" (known: {', '.join(EVIDENCE_METRICS)})"
                raise ValueError(f"the evidence of an adaptor has no measure {name!r}{known}")
        return minimum
