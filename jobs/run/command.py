"""`matryoshka run`: fit (where it is needed) → compress → verify → evaluate → promote, on one Ray session.

Each step is the command of its name, with the same sections. A step that is done for this state of the source is not
done again: a run that was killed anywhere goes on when the same command is given again, and a nightly run over an
unchanged source ends in seconds. The pointer moves last, and only to what was verified.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from typing import Any

from adaptor.artefact import Adaptor
from cluster.session import connect
from jobs.commits.manifest import newest_manifest, read_manifest
from jobs.commits.output_version import open_output_version
from jobs.commits.pointer import read_pointer
from jobs.compress import command as compress
from jobs.compress.drift import DriftError
from jobs.config.run import RunConfig
from jobs.config.sections import ArtefactSection
from jobs.evaluate import command as evaluate
from jobs.fit import command as fit
from jobs.run.adaptors import FittedAdaptors
from jobs.runtime.summary import summarised
from jobs.storage.adaptors import open_adaptor
from jobs.storage.objects import AbsentError, Objects
from jobs.storage.open import open_objects
from jobs.verify import command as verify
from jobs.versions import command as versions

#: Beside metrics.json: which output the evaluation was made for.
_EVALUATED = "evaluation/of.json"


def run(config: RunConfig) -> int:
    """Do what is not done yet; 0 when the output is complete, verified and (unless told otherwise) in use.

    Returns 1 where a step does. Raises `InputError` as the steps do: also when the gate holds a promotion back.
    """
    started = time.time()
    outputs = open_objects(config.output.uri, config.output.filesystem)
    outputs.check_writable()
    cluster = config.cluster
    with (
        summarised(outputs, "run", started) as numbers,
        connect(cluster, cluster.min_workers * cluster.cpus_per_worker, cluster.min_workers * cluster.gpus_per_worker),
    ):
        adaptor_uri, status = _compressed(config, numbers)
        if status == 0:
            status = _checked(config, adaptor_uri, outputs, numbers)
        numbers["status"] = "failed" if status else "complete"
    return status


def _compressed(config: RunConfig, numbers: dict[str, Any]) -> tuple[str, int]:
    """Compress with the newest adaptor, or with a new one where there is none or the rows have drifted to other topics;
    the adaptor's URI and the exit status."""
    adaptors = FittedAdaptors(config.adaptors)
    adaptor_uri = adaptors.newest() or _fit(config, adaptors, numbers)
    try:
        return adaptor_uri, _compress(config, adaptor_uri, numbers)
    except DriftError as problem:
        if config.quality.on_drift != "refit" or problem.drift.space:  # a fit cannot make one space of two
            raise
        print(f"matryoshka run: {problem}\nmatryoshka run: fitting again", file=sys.stderr)
    adaptor_uri = _fit(config, adaptors, numbers)
    return adaptor_uri, _compress(config, adaptor_uri, numbers)


def _compress(config: RunConfig, adaptor_uri: str, numbers: dict[str, Any]) -> int:
    """Compress; the exit status. An adaptor that has published nothing yet was fitted on these very rows: another fit
    would not know them better."""
    adaptor = _adaptor(config, adaptor_uri)
    compress_config = config.compress_config(adaptor_uri)
    if config.quality.on_drift == "refit" and newest_manifest(open_output_version(config.output, adaptor)) is None:
        quality = config.quality.model_copy(update={"on_drift": "note"})
        compress_config = compress_config.model_copy(update={"quality": quality})
    return _step(numbers, "compress", compress.run, compress_config)


def _adaptor(config: RunConfig, adaptor_uri: str) -> Adaptor:
    return open_adaptor(ArtefactSection(uri=adaptor_uri, filesystem=config.adaptors.filesystem), config.source)


def _fit(config: RunConfig, adaptors: FittedAdaptors, numbers: dict[str, Any]) -> str:
    """Fit an adaptor; its URI."""
    adaptor_uri = adaptors.next()
    _step(numbers, "fit", fit.run, config.fit_config(adaptor_uri))
    return adaptor_uri


def _checked(config: RunConfig, adaptor_uri: str, outputs: Objects, numbers: dict[str, Any]) -> int:
    """Verify, evaluate and promote what was compressed; the exit status."""
    adaptor = _adaptor(config, adaptor_uri)
    folder = open_output_version(config.output, adaptor)
    manifest = read_manifest(folder)
    name, sequence = folder.uri.rstrip("/").rpartition("/")[2], manifest.sequence
    made = {"output_version": name, "sequence": sequence}
    numbers |= made | {"adaptor_id": adaptor.adaptor_id, "rows": manifest.rows, "evidence": manifest.evidence}
    if _said(folder, "_verify/summary.json") != {"status": "complete", "sequence": sequence}:
        status = _step(numbers, "verify", verify.run, config.verify_config(adaptor_uri))
        if status:
            return status
    if config.evaluation is not None:
        evaluate_config = config.evaluate_config(adaptor_uri, config.evaluation)
        measured = evaluate_config.model_dump_json(exclude={"cluster"})
        of = made | {"config": hashlib.sha256(measured.encode()).hexdigest()}
        if _said(outputs, _EVALUATED) != of:
            _step(numbers, "evaluate", evaluate.run, evaluate_config)
            outputs.put(_EVALUATED, json.dumps(of).encode())
    pointer = read_pointer(outputs)
    if pointer is not None and pointer.names(name, sequence):
        print(f"in use: {name}@{sequence}")
    elif not config.promote or (pointer is not None and pointer.refuses(name, sequence)):
        why = (
            "was rolled back: matryoshka versions promote puts it into use again"
            if config.promote
            else "promote: false"
        )
        print(f"not promoted: {name}@{sequence} ({why})")
    else:
        return _step(numbers, "promote", versions.run, config.promote_config(f"{name}@{sequence}"))
    return 0


def _step(numbers: dict[str, Any], name: str, command: Any, config: Any) -> int:
    """Do a step; its exit status. Its seconds go into the summary."""
    print(f"\n== {name} ==", flush=True)
    began, steps = time.monotonic(), numbers.setdefault("steps", {})
    try:
        status: int = command(config)
        return status
    finally:
        steps[name] = round(steps.get(name, 0.0) + time.monotonic() - began, 1)


def _said(folder: Objects, key: str) -> dict[str, Any] | None:
    """What a step has left of what it was for; None where it has left nothing that can be read."""
    try:
        found = json.loads(folder.read(key))
        return {name: found[name] for name in ("output_version", "status", "sequence", "config") if name in found}
    except (AbsentError, ValueError, TypeError):
        return None
