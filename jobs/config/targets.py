"""What a user demands of a dim, from one line of text to a typed rule.

overlap@10 >= 0.9              a measure, absolute
ndcg@10 >= 0.98 of original    a measure, as a share of what the full dimension reaches
bytes <= 200                   of one stored vector
total_bytes <= 50GB            of all of them
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobs.config.messages import near

RETRIEVAL_MEASURES = ("ndcg@10", "recall@10", "recall@100", "mrr@10")
OVERLAP_MEASURES = ("overlap@1", "overlap@10", "overlap@100")
BUDGETS = ("bytes", "total_bytes")
_SHORT_NAMES = {"ndcg": "ndcg@10", "overlap": "overlap@10", "mrr": "mrr@10"}
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SHAPE = re.compile(
    r"\s*(?P<name>[\w@]+)\s*(?P<sign>>=|<=|≥|≤)\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>%|[a-z]*?)\s*"
    r"(?P<relative>\bof\s+original)?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Target:
    """One demand: a measure at or above `bound`, or a budget at or below it; `relative` means a share of the
    original's value."""

    name: str
    bound: float
    relative: bool = False

    @property
    def is_budget(self) -> bool:
        """Whether it limits bytes, which more dim costs; otherwise it demands quality, which more dim brings."""
        return self.name in BUDGETS

    def __str__(self) -> str:
        """The demand as it is written."""
        if self.is_budget:
            return f"{self.name} <= {self.bound:.0f}"
        return f"{self.name} >= {self.bound:g}{' of original' if self.relative else ''}"


def parse_target(text: str) -> Target:
    """Read one demand. Raises ValueError that names what is wrong and what may stand there."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a target: write MEASURE >= NUMBER, MEASURE >= NUMBER of original, or bytes <= NUMBER "
            "(in quotes: an open > or < is a redirection for the shell)"
        )
    name = _SHORT_NAMES.get(match["name"].lower(), match["name"].lower())
    known = (*OVERLAP_MEASURES, *RETRIEVAL_MEASURES, *BUDGETS)
    if name not in known:
        guess = near(name, (*known, *_SHORT_NAMES)) or f" (known: {', '.join(known)})"
        raise ValueError(f"{text!r}: there is no measure {match['name']!r}{guess}")
    wanted = "<=" if name in BUDGETS else ">="
    if (match["sign"] in ("<=", "≤")) != (wanted == "<="):
        raise ValueError(f"{text!r}: {name} is asked for with {wanted}")
    return _budget(text, name, match) if name in BUDGETS else _quality(text, name, match)


def _budget(text: str, name: str, match: re.Match[str]) -> Target:
    unit = match["unit"].lower()
    if unit not in _UNITS or match["relative"]:
        raise ValueError(f"{text!r}: a budget is a number of bytes, with kB, MB, GB, TB, KiB, MiB, GiB or TiB after it")
    return Target(name, float(match["number"]) * _UNITS[unit])


def _quality(text: str, name: str, match: re.Match[str]) -> Target:
    if match["unit"] not in ("", "%"):
        raise ValueError(f"{text!r}: a measure is a share, such as 0.9 or 90%")
    bound = float(match["number"]) / (100 if match["unit"] == "%" else 1)
    if not 0 < bound <= 1 and not (match["relative"] and bound > 1):
        raise ValueError(f"{text!r}: a measure lies between 0 and 1")
    if match["relative"] and name in OVERLAP_MEASURES:
        raise ValueError(f"{text!r}: an overlap is measured against the original already, leave 'of original' out")
    return Target(name, bound, bool(match["relative"]))
