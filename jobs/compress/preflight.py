"""The preflight of a compress run: does the adaptor fit the source, and keep what the user demands?

The artefact's own evidence decides, by the lower end of the 95% interval. A dim that was not trained is judged by the
next smaller trained one, which keeps less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.commits.context import JobContext
from jobs.commits.work_items import WorkItem
from jobs.config.compress import CompressConfig
from jobs.sources.columns import describe_vectors, dimension
from jobs.storage.objects import RefusedError

#: Encodings whose searches are those of another one.
_MEASURED_AS = {"float16": "float32", "uint8": "int8"}
#: Shards looked at for one that tells the dimension, when unreadable shards do not end the job.
_MOST_SHARDS = 20


def check_quality(config: CompressConfig, adaptor: Adaptor) -> None:
    """`InputError` when the evidence at `output.dim` is below `quality.minimum`, or when there is none."""
    minimum, dim = config.quality.minimum, config.output.dim
    if not minimum:
        return
    encoding = config.output.encoding
    encoded = "" if encoding == "float32" else f" in {encoding}"
    evidence = _evidence(adaptor, minimum, encoding)
    meeting = [trained for trained, records in evidence.items() if not _missed(records, minimum)]
    deciding = max((trained for trained in evidence if trained <= dim), default=None)
    if deciding in meeting:
        return
    larger = next((trained for trained in meeting if trained > dim), None)
    remedy = f"set output.dim: {larger}, the smallest trained dim that meets it, or lower quality.minimum"
    if larger is None:
        remedy = "no trained dim is known to meet it: fit with wider adaptor.dims, or lower quality.minimum"
    if not evidence:
        problem = f"the adaptor in {config.adaptor.uri} carries no evidence of that{encoded}"
        remedy = "fit again with this version, or leave quality.minimum out"
    elif deciding is None:
        trained_dims = ", ".join(map(str, evidence))
        problem = f"nothing is known of dim {dim}, which is below all trained dims ({trained_dims})"
    else:
        basis = "" if deciding == dim else f" (not trained: judged by the next smaller trained dim, {deciding})"
        missed = " and ".join(_missed(evidence[deciding], minimum))
        problem = (
            f"at dim {dim}{encoded}{basis} the adaptor in {config.adaptor.uri} keeps {missed} on held-out rows, "
            "and the lower end of the interval counts"
        )
    demand = " and ".join(f"{name} of at least {least:g}" for name, least in minimum.items())
    raise InputError(f"quality.minimum asks for {demand}, but {problem}: {remedy}")


def known_quality(adaptor: Adaptor, dim: int, encoding: str) -> dict[str, dict[str, float]]:
    """What the artefact's evidence says of each measure at this dim (of one that was not trained: at the next smaller
    one) and encoding: the value and its interval."""
    known: dict[str, dict[str, float]] = {}
    for measure in ("overlap@10", "overlap@100"):
        evidence = _evidence(adaptor, {measure: 0.0}, encoding)
        deciding = max((trained for trained in evidence if trained <= dim), default=None)
        if deciding is not None:
            record = evidence[deciding][measure]
            known[measure] = {name: float(record[name]) for name in ("value", "ci_low", "ci_high")}
    return known


def _evidence(adaptor: Adaptor, minimum: Mapping[str, float], encoding: str) -> dict[int, dict[str, Mapping[str, Any]]]:
    """Dim → measure → record of the evidence in this encoding, for the trained dims, ascending, that have every
    demanded measure."""
    evidence: dict[int, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    measured = _MEASURED_AS.get(encoding, encoding)
    for record in adaptor.document.get("evidence", ()):
        if (record["method"], record.get("encoding", "float32")) == ("adaptor", measured) and "ci_low" in record:
            evidence[int(record["dim"])].setdefault(record["metric"], record)
    return {dim: evidence[dim] for dim in sorted(evidence) if minimum.keys() <= evidence[dim].keys()}


def _missed(records: Mapping[str, Mapping[str, Any]], minimum: Mapping[str, float]) -> list[str]:
    """Measures below the minimum, with their values."""
    return [
        f"{name} {records[name]['value']:.3f} [{records[name]['ci_low']:.3f}, {records[name]['ci_high']:.3f}]"
        for name, least in minimum.items()
        if records[name]["ci_low"] < least
    ]


def check_dimension(context: JobContext[CompressConfig], items: Sequence[WorkItem]) -> None:
    """`InputError` when the first shard with a vector has another dimension than the adaptor; where bad rows are put
    aside, when all of the first shards have. Shards that their store refuses to give say nothing."""
    source, config, input_dim = context.source, context.config, context.adaptor.input_dim
    stop, problem = config.reading.bad_rows == "stop", ""
    for item in items[:_MOST_SHARDS]:
        try:
            info = describe_vectors(source, item.shard, config.source)
            dim = dimension(source, config.source, [item.shard], [info]) if info.rows else None
        except InputError as error:
            if stop and not isinstance(error, RefusedError):
                raise
            continue
        if dim == input_dim:
            return
        if dim is not None:
            problem = problem or f"the vectors of {config.source.uri} have {dim} dimensions ({item.shard.key})"
        if problem and stop:
            break
    if problem:
        raise InputError(
            f"{problem}, the adaptor in {config.adaptor.uri} takes {input_dim}: "
            "give the adaptor that was fitted on this source"
        )
