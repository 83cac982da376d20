"""The gate before a compress run: what the artefact says of itself against what the user demands.

The lower end of the 95% interval decides. A width that was not trained is judged by the next smaller trained one, which
keeps less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.commands import CompressConfig

#: Width → measure → record of the evidence.
Evidence = Mapping[int, Mapping[str, Mapping[str, Any]]]


def check_quality(config: CompressConfig, adaptor: Adaptor) -> None:
    """`InputError` when the evidence at `adaptor.width` is below `quality.minimum`, or when there is none."""
    minimum, width = config.quality.minimum, config.adaptor.width
    if not minimum:
        return
    evidence = _evidence(adaptor, minimum)
    if not evidence:
        raise InputError(
            f"quality.minimum asks for {_asked(minimum)}, but the adaptor in {config.adaptor.uri} carries no evidence "
            "of that: fit again with this version, or leave quality.minimum out"
        )
    judged = max((known for known in evidence if known <= width), default=None)
    if judged is None:
        raise InputError(
            f"quality.minimum asks for {_asked(minimum)}, but nothing is known of width {width}, which is below all "
            f"trained widths ({', '.join(map(str, evidence))}): {_way_out(evidence, minimum)}"
        )
    missed = [_found(evidence[judged][name], name) for name in _missed(evidence[judged], minimum)]
    if missed:
        basis = "" if judged == width else f" (not trained: judged by the next smaller trained width, {judged})"
        raise InputError(
            f"quality.minimum asks for {_asked(minimum)}, but at width {width}{basis} the adaptor in "
            f"{config.adaptor.uri} keeps {' and '.join(missed)} on held-out rows, and the lower end of the interval "
            f"counts: {_way_out({w: e for w, e in evidence.items() if w > judged}, minimum)}"
        )


def _evidence(adaptor: Adaptor, minimum: Mapping[str, float]) -> Evidence:
    """The evidence of the trained widths, ascending, that holds every demanded measure."""
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    for record in adaptor.document.get("evidence", ()):
        if record["method"] == "adaptor" and "ci_low" in record:
            found.setdefault(int(record["width"]), {})[record["metric"]] = record
    return {width: found[width] for width in sorted(found) if minimum.keys() <= found[width].keys()}


def _missed(records: Mapping[str, Mapping[str, Any]], minimum: Mapping[str, float]) -> list[str]:
    return [name for name, least in minimum.items() if records[name]["ci_low"] < least]


def _asked(minimum: Mapping[str, float]) -> str:
    return " and ".join(f"{name} of at least {least:g}" for name, least in minimum.items())


def _found(record: Mapping[str, Any], name: str) -> str:
    return f"{name} {record['value']:.3f} [{record['ci_low']:.3f}, {record['ci_high']:.3f}]"


def _way_out(wider: Evidence, minimum: Mapping[str, float]) -> str:
    enough = next((width for width, records in wider.items() if not _missed(records, minimum)), None)
    if enough is None:
        return "no trained width is known to meet it: fit with wider adaptor.widths, or lower quality.minimum"
    return f"set adaptor.width: {enough}, the smallest trained width that meets it, or lower quality.minimum"
