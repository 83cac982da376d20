"""`matryoshka fit`: learn an adaptor from a sample of the source.

In jobs/fitting/: list and sample the source (sample.py) → PCA, mining, queries (data.py, search.py, labels.py,
query_log.py) → train on Ray workers (launch.py, worker.py) → describe (description.py). Here: measure the evidence →
write the artefact, its description last.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import ray

from adaptor.artefact import Adaptor, build, from_files
from adaptor.errors import InputError, RunError
from adaptor.evidence import evidence
from adaptor.identity import DOCUMENT, FILES
from adaptor.model import fold
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.rows import Floats
from adaptor.training import State
from cluster.session import connect
from jobs.commits.output_version import location
from jobs.config.fit import FitConfig
from jobs.config.loader import resolved
from jobs.fit.data import prepare
from jobs.fit.description import WITHOUT_EFFECT, describe, fitted_dims
from jobs.fit.labels import read_labelled
from jobs.fit.launch import WORK, train_on_cluster, work_folder
from jobs.fit.neighbour_search import search_on
from jobs.fit.query_log import read_query_log
from jobs.fit.sample import Sample, draw
from jobs.reporting.evidence_table import print_evidence
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.runtime.summary import says_complete, summarised, write_summary
from jobs.runtime.timings import Timings
from jobs.sources.dimension import dimension
from jobs.sources.source import Shard, open_source
from jobs.sources.whole_source import describe_all
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects


def run(config: FitConfig) -> int:
    """Fit and write the artefact; exit status 0. A second run with the same config and source has nothing to do."""
    began, phases = time.time(), Timings()
    source = open_source(config.source)
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    shards = source.shards()
    fingerprint = _fingerprint(config, shards)
    if (done := _finished(output, fingerprint)) is not None:
        _clean_up(output)
        if not says_complete(output):  # the fit was killed after the artefact was complete
            write_summary(output, "fit", _counts(done, shards), began)
        print(f"nothing to do: {config.output.uri} holds adaptor {done.adaptor_id[:16]} of this config and source")
        return 0
    output.check_writable(work_folder(fingerprint))
    cluster = config.cluster
    with summarised(output, "fit", began) as numbers:
        try:
            with connect(cluster, cluster.workers * cluster.cpus_per_worker, cluster.workers * cluster.gpus_per_worker):
                adaptor, sample, state = _fit(config, shards, output, fingerprint, phases)
        except RunError:
            # Two runs of one fit share its checkpoints; the first to finish takes them away.
            if (done := _finished(output, fingerprint)) is None:
                raise
            numbers |= _counts(done, shards)
            print(f"another run finished this fit: {config.output.uri} holds adaptor {done.adaptor_id[:16]}")
            return 0
        files = adaptor.to_files()
        output.put("config.json", resolved(config).encode())
        # The description goes last: a folder without it is not an artefact.
        for name in sorted(FILES, key=lambda name: name == DOCUMENT):
            output.put(name, files[name])
        _clean_up(output)
        numbers |= {
            "adaptor_id": adaptor.adaptor_id,
            "rows": sample.source_rows,
            "sampled_rows": len(sample.vectors),
            "left_out_rows": len(sample.left_out),
            "shards": len(shards),
            "input_bytes": sum(s.size for s in shards),
            "steps": state.step,
            "best_step": state.best_step,
            "phases": phases.seconds,
        }
    print_evidence(adaptor, sys.stdout)
    print(f"adaptor {adaptor.adaptor_id[:16]} written to {config.output.uri} ({time.time() - began:.0f} s: {phases})")
    return 0


def _counts(done: Adaptor, shards: list[Shard]) -> dict[str, Any]:
    """What a finished artefact still tells about its fit, for the summary."""
    data = done.document["data"]
    rows = {"rows": data["source_rows"], "sampled_rows": data["sampled_rows"]}
    return {"adaptor_id": done.adaptor_id, **rows, "shards": len(shards)}


def _clean_up(output: Objects) -> None:
    """Remove the checkpoints, and the folders that stay behind on sources that keep empty ones."""
    for left in list(output.list(f"{WORK}/")):
        output.delete(left.key)
    # The artefact is complete: an empty folder that cannot be removed is no reason to fail.
    with suppress(OSError):
        output.arrow.delete_dir(output.path(WORK))


def _finished(output: Objects, fingerprint: str) -> Adaptor | None:
    """The finished artefact of this very fit; None when there is none. Refuses a folder that holds another one."""
    if output.stat(DOCUMENT) is None:
        return None
    adaptor = from_files({n: output.read(n, limit=1 << 30) for n in FILES if output.stat(n) is not None}, output.uri)
    if adaptor.document["data"]["fingerprint"] == fingerprint:
        return adaptor
    raise InputError(
        f"output.uri {output.uri} holds adaptor {adaptor.adaptor_id[:16]}, fitted with another config "
        "or on another state of the source; give a new output.uri, or delete the folder first"
    )


def _fingerprint(config: FitConfig, shards: list[Shard]) -> str:
    listing = [[(s.key, s.size, s.version) for s in part] for part in (shards, *_labels(config))]
    # How a place is spelt and reached changes nothing; who runs again after an outage may want more attempts.
    sources = {name: {"uri", "filesystem"} for name in ("source", "queries", "qrels")}
    settings = config.model_dump(mode="json", exclude={**WITHOUT_EFFECT, **sources, "cluster": True, "output": True})
    places = [location(section.uri) for section in (config.source, config.queries, config.qrels) if section is not None]
    version = RECIPE_VERSIONS[config.adaptor.recipe]
    return hashlib.sha256(json.dumps([settings, places, version, listing], sort_keys=True).encode()).hexdigest()


def _labels(config: FitConfig) -> Iterator[list[Shard]]:
    for name, section in (("queries", config.queries), ("qrels", config.qrels)):
        if section is not None:
            yield open_source(section, name).shards()


def _fit(
    config: FitConfig, shards: list[Shard], output: Objects, fingerprint: str, phases: Timings
) -> tuple[Adaptor, Sample, State]:
    phases.done("start")
    with Progress("fit", unit="steps", rates=("steps",), log=config.cluster.log) as progress:
        footers = describe_all(config.source, shards)
        input_dim = dimension(open_source(config.source), config.source, shards, footers)
        dims = fitted_dims(config, input_dim)
        log = read_query_log(config, input_dim)
        sample = draw(config, shards, footers, input_dim)
        progress.note(
            f"sampled {len(sample.vectors):,} of {sample.source_rows:,} rows in {plural(len(shards), 'shards')}, "
            f"d = {input_dim}" + (f"; left out {len(sample.left_out):,} unusable rows" if sample.left_out else "")
        )
        if doubled := len(sample.ids) - len(set(sample.ids)):
            progress.note(f"warning: {doubled:,} rows of the sample repeat an id")
        labelled = read_labelled(config, shards, sample)
        phases.done("sample")
        search = search_on(config.cluster, config.source.metric, config.mining.search_partitions)
        prepared = prepare(config, sample, log if labelled is None else labelled, search, progress.note)
        phases.done("mine")
        selection, state = train_on_cluster(config, prepared, dims, output, fingerprint, progress)
        phases.done("train")
        described = describe(config, sample, dims, (selection, state), fingerprint)
        if selection.head is not None and prepared.data.log is not None:
            described["data"]["queries"] = len(prepared.data.log.neighbours)
        if prepared.recall is not None:
            described["data"]["mining_recall"] = round(prepared.recall, 6)
        tensors = fold(selection.module, prepared.start, prepared.scale, selection.head)
        progress.note("measuring the evidence on held-out rows")
        fitted = ray.get(
            # The cores of one worker: all of them together may be on several machines, where no task can have them.
            _with_evidence.options(num_cpus=config.cluster.cpus_per_worker).remote(
                described, tensors, prepared.pca, prepared.held_out, prepared.searched
            )
        )
        phases.done("measure")
    return fitted, sample, state


@ray.remote
def _with_evidence(
    description: dict[str, Any], tensors: dict[str, Floats], pca: Floats, held_out: Floats, searched: Floats
) -> Adaptor:
    bare = build(description, tensors, pca)
    return build({**description, "evidence": evidence(bare, held_out, searched)}, tensors, pca)
