"""What a user demands of stored vectors, from one line of text to a typed rule.

overlap@10 >= 0.9              a measure, absolute
ndcg@10 >= 0.98 of original    a measure, as a share of what the full dimension reaches
bytes <= 64                    of one stored vector
total_bytes <= 50GB            of all of them
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from jobs.config.messages import suggestion

RETRIEVAL_MEASURES = ("ndcg@10", "recall@10", "recall@100", "mrr@10")
OVERLAP_MEASURES = ("overlap@1", "overlap@10", "overlap@100")
BUDGETS = ("bytes", "total_bytes")
#: Labels can lift a measure above the original's, but not so far.
_MOST_SHARE = 10
_SHORT_NAMES = {"ndcg": "ndcg@10", "overlap": "overlap@10", "mrr": "mrr@10"}
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_NUMBER = r"\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*"
_QUALITY = re.compile(rf"(?P<name>[\w@]+)\s*(?:>=|≥){_NUMBER}(?P<percent>%?)\s*(?P<relative>\bof\s+original)?")
_BUDGET = re.compile(rf"(?P<name>bytes|total_bytes)\s*(?:<=|≤){_NUMBER}(?P<unit>{'|'.join(_UNITS)})")


@dataclass(frozen=True)
class Target:
    """A measure at or above `bound` (`relative`: a share of the original's value), or a budget at or below it."""

    name: str
    bound: float
    relative: bool = False

    @property
    def is_budget(self) -> bool:
        """Whether it limits bytes; otherwise it demands quality, which bytes bring."""
        return self.name in BUDGETS

    def __str__(self) -> str:
        """The demand as it is written."""
        if self.is_budget:
            return f"{self.name} <= {self.bound:.0f}"
        return f"{self.name} >= {self.bound:g}{' of original' if self.relative else ''}"


def parse_target(text: str) -> Target:
    """Read one demand. Raises ValueError that names what is wrong and what may stand there."""
    demand = text.strip().lower()
    if match := _BUDGET.fullmatch(demand):
        bound = float(match["number"]) * _UNITS[match["unit"]]
        if bound < 1:
            raise ValueError(f"{text!r}: a vector takes at least a byte")
        return Target(match["name"], bound)
    match = _QUALITY.fullmatch(demand)
    if match is None or match["name"] in BUDGETS:
        raise ValueError(
            f"{text!r} is not a target: write MEASURE >= SHARE (0.9 or 90%), MEASURE >= SHARE of original, or "
            "bytes <= NUMBER or total_bytes <= NUMBER (with kB, MB, GB, TB, KiB, MiB, GiB or TiB after it), in quotes: "
            "an open > or < is a redirection for the shell"
        )
    name = _SHORT_NAMES.get(match["name"], match["name"])
    measures = (*OVERLAP_MEASURES, *RETRIEVAL_MEASURES)
    if name not in measures:
        hint = suggestion(name, (*measures, *_SHORT_NAMES)) or f" (known: {', '.join(measures)})"
        raise ValueError(f"{text!r}: there is no measure {name!r}{hint}")
    bound, relative = float(match["number"]) / (100 if match["percent"] else 1), bool(match["relative"])
    if not 0 < bound <= 1 and not (relative and bound > 1):
        raise ValueError(f"{text!r}: a measure lies between 0 and 1")
    if bound > _MOST_SHARE:
        raise ValueError(f"{text!r}: {bound:g} times the original is out of reach; write 0.98 or 98%")
    if relative and name in OVERLAP_MEASURES:
        raise ValueError(f"{text!r}: an overlap is measured against the original already, leave 'of original' out")
    return Target(name, bound, relative)


def _readable(text: str) -> str:
    parse_target(text)
    return text


#: A demand as text.
TargetText = Annotated[str, AfterValidator(_readable)]
