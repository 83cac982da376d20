"""The gate before a compress run: does the adaptor fit the source, and keep what the user demands?

What it keeps is told by the artefact's own evidence. The lower end of the 95% interval decides; a dim that was not
trained is judged by the next smaller trained one, which keeps less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.commits.context import JobContext
from jobs.commits.work_items import WorkItem
from jobs.config.compress import CompressConfig
from jobs.sources.columns import describe_vectors
from jobs.sources.dimension import dimension

#: Dim → measure → record of the evidence.
Evidence = Mapping[int, Mapping[str, Mapping[str, Any]]]
#: Shards tried for one that tells the dimension, when unreadable shards do not end the job.
_TRIED = 20


def check_quality(config: CompressConfig, adaptor: Adaptor) -> None:
    """`InputError` when the evidence at `output.dim` is below `quality.minimum`, or when there is none."""
    minimum, dim = config.quality.minimum, config.output.dim
    if not minimum:
        return
    evidence = _evidence(adaptor, minimum)
    if not evidence:
        raise InputError(
            f"quality.minimum asks for {_asked(minimum)}, but the adaptor in {config.adaptor.uri} carries no evidence "
            "of that: fit again with this version, or leave quality.minimum out"
        )
    judged = max((known for known in evidence if known <= dim), default=None)
    if judged is None:
        raise InputError(
            f"quality.minimum asks for {_asked(minimum)}, but nothing is known of dim {dim}, which is below all "
            f"trained dims ({', '.join(map(str, evidence))}): {_way_out(evidence, minimum)}"
        )
    missed = [_found(evidence[judged][name], name) for name in _missed(evidence[judged], minimum)]
    if missed:
        basis = "" if judged == dim else f" (not trained: judged by the next smaller trained dim, {judged})"
        raise InputError(
            f"quality.minimum asks for {_asked(minimum)}, but at dim {dim}{basis} the adaptor in "
            f"{config.adaptor.uri} keeps {' and '.join(missed)} on held-out rows, and the lower end of the interval "
            f"counts: {_way_out({w: e for w, e in evidence.items() if w > judged}, minimum)}"
        )


def _evidence(adaptor: Adaptor, minimum: Mapping[str, float]) -> Evidence:
    """The evidence of the trained dims, ascending, that holds every demanded measure."""
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    for record in adaptor.document.get("evidence", ()):
        if record["method"] == "adaptor" and "ci_low" in record:
            found.setdefault(int(record["dim"]), {})[record["metric"]] = record
    return {dim: found[dim] for dim in sorted(found) if minimum.keys() <= found[dim].keys()}


def _missed(records: Mapping[str, Mapping[str, Any]], minimum: Mapping[str, float]) -> list[str]:
    return [name for name, least in minimum.items() if records[name]["ci_low"] < least]


def _asked(minimum: Mapping[str, float]) -> str:
    return " and ".join(f"{name} of at least {least:g}" for name, least in minimum.items())


def _found(record: Mapping[str, Any], name: str) -> str:
    return f"{name} {record['value']:.3f} [{record['ci_low']:.3f}, {record['ci_high']:.3f}]"


def _way_out(wider: Evidence, minimum: Mapping[str, float]) -> str:
    enough = next((dim for dim, records in wider.items() if not _missed(records, minimum)), None)
    if enough is None:
        return "no trained dim is known to meet it: fit with wider adaptor.dims, or lower quality.minimum"
    return f"set output.dim: {enough}, the smallest trained dim that meets it, or lower quality.minimum"


def check_dimension(context: JobContext, config: CompressConfig, items: Sequence[WorkItem]) -> None:
    """`InputError` when the first shard with a vector holds others than the adaptor takes; where bad rows are put
    aside, when none of the first shards holds such as it takes."""
    source, input_dim, tolerant = context.source, context.adaptor.input_dim, config.reading.bad_rows != "stop"
    other: tuple[str, int] | None = None
    for item in items[:_TRIED]:
        try:
            info = describe_vectors(source, item.shard, config.source)
            if not info.rows:
                continue
            dim = dimension(source, config.source, [item.shard], [info])
        except InputError:
            if not tolerant:
                raise
            continue
        if dim == input_dim:
            return
        other = other or (item.shard.key, dim)
        if not tolerant:
            break
    if other is not None:
        raise InputError(
            f"the vectors of {config.source.uri} have {other[1]} dimensions ({other[0]}), the adaptor in "
            f"{config.adaptor.uri} takes {input_dim}: give the adaptor that was fitted on this source"
        )
