"""advice.svg: quality against bytes, of everything that could be chosen."""

from __future__ import annotations

from adaptor.baselines import ADAPTOR, ORIGINAL, Column
from jobs.advise.candidates import Candidate
from jobs.advise.decision import Advice
from jobs.reporting.byte_curves import ByteCurves, BytePoint
from jobs.search.front import pareto_front


def draw_advice(advice: Advice) -> str:
    """Draw the main measure against the bytes of a vector, the choice marked."""
    from jobs.reporting.report import draw_byte_curves

    original = advice.estimates.of(Column(ORIGINAL, advice.costs.input_dim), advice.main)
    chosen = None if advice.choice is None else _point(advice, advice.choice)
    return draw_byte_curves(ByteCurves(advice.main, original.value, _curves(advice), chosen))


def _curves(advice: Advice) -> dict[str, list[BytePoint]]:
    """The points of every curve, by bytes; of codes that are rescored only those on their own front."""
    curves: dict[str, list[Candidate]] = {}
    rescored: list[Candidate] = []
    for method, some in advice.candidates.items():
        for candidate in some:
            if candidate.rescored_by is not None:
                rescored.append(candidate)
            else:
                name = candidate.column.encoding if method == ADAPTOR else method
                curves.setdefault(name, []).append(candidate)
    if "float16" in curves:
        curves.pop("float32", None)  # the same quality in twice the bytes
    if rescored:
        curves["rescored"] = pareto_front({c: (c.bytes, advice.quality(c).value) for c in rescored})
    return {name: [_point(advice, candidate) for candidate in some] for name, some in curves.items()}


def _point(advice: Advice, candidate: Candidate) -> BytePoint:
    return BytePoint(candidate.dim, candidate.bytes, *advice.quality(candidate))
