"""`matryoshka fit`: learn an adaptor from a sample of the source.

Open (source, output, what an earlier run left) → sample (sample.py, labels.py, query_log.py) → mine (data.py,
neighbour_search.py) → train on Ray workers (launch.py, worker.py) → measure the evidence → write the artefact, its
description last. How two fits are told apart, and which are the same: fingerprints.py.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray

from adaptor.artefact import Adaptor, build, with_canary, with_codes
from adaptor.code_fitting import FittedCodes, fit_codes
from adaptor.drift import drift_reference
from adaptor.errors import InputError, RunError
from adaptor.evidence import evidence
from adaptor.identity import DOCUMENT
from adaptor.model import fold
from adaptor.rows import Floats
from adaptor.selection import Selection
from adaptor.stages import outcome
from cluster.session import connect
from jobs.config.fit import FitConfig
from jobs.config.loader import resolved
from jobs.fit.data import Prepared, fitted_dims, prepare
from jobs.fit.description import describe
from jobs.fit.fingerprints import fit_fingerprint, input_fingerprint
from jobs.fit.labels import Labelled, read_labelled
from jobs.fit.launch import WORK, train_on_cluster, work_folder
from jobs.fit.neighbour_search import NeighbourSearch
from jobs.fit.query_log import read_query_log
from jobs.fit.sample import Sample, draw
from jobs.reporting.evidence_table import print_evidence
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.runtime.summary import says_complete, summarised, write_summary
from jobs.runtime.timings import Timings
from jobs.sources.columns import dimension
from jobs.sources.pinned import pinned
from jobs.sources.queries import Queries
from jobs.sources.source import Shard, Source, open_source
from jobs.sources.whole_source import describe_all
from jobs.storage.adaptors import read_adaptor
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """A fit and its places, opened once: `config` is that which was `given`, pinned to what the source holds now."""

    given: FitConfig
    config: FitConfig
    source: Source
    shards: list[Shard]
    output: Objects
    fingerprint: str


def run(config: FitConfig) -> int:
    """Fit and write the artefact; exit status 0. A second run with the same config and source has nothing to do."""
    began, phases = time.time(), Timings()
    fit = _open(config)
    if (done := _finished(fit)) is not None:
        _clean_up(fit.output)
        if not says_complete(fit.output):  # the fit was killed after the artefact was complete
            write_summary(fit.output, "fit", _counts(fit, done), began)
        print(f"nothing to do: {config.output.uri} holds adaptor {done.adaptor_id[:16]} of this config and source")
        return 0
    fit.output.check_writable(work_folder(fit.fingerprint))
    cluster = config.cluster
    with summarised(fit.output, "fit", began) as numbers:
        try:
            with connect(
                cluster, cluster.min_workers * cluster.cpus_per_worker, cluster.min_workers * cluster.gpus_per_worker
            ):
                adaptor = _learn(fit, phases, numbers)
        except RunError:
            # Two runs of one fit share its checkpoints; the first to finish takes them away.
            if (done := _finished(fit)) is None:
                raise
            numbers |= _counts(fit, done)
            print(f"another run finished this fit: {config.output.uri} holds adaptor {done.adaptor_id[:16]}")
            return 0
        _write(fit, adaptor)
        numbers |= _counts(fit, adaptor) | {"phases": phases.seconds}
    print_evidence(adaptor, sys.stdout)
    print(
        f"adaptor {adaptor.adaptor_id[:16]} (fit fingerprint {numbers['fit_fingerprint'][:16]}) written to "
        f"{config.output.uri} ({time.time() - began:.0f} s: {phases})"
    )
    return 0


def _open(config: FitConfig) -> _Fit:
    source = open_source(config.source)
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    shards = source.shards()
    fingerprint = input_fingerprint(config, shards)
    fixed = pinned(config, source)
    return _Fit(given=config, config=fixed, source=source, shards=shards, output=output, fingerprint=fingerprint)


def _finished(fit: _Fit) -> Adaptor | None:
    """The finished artefact of this very fit; None when there is none. Refuses a folder that holds another one."""
    output = fit.output
    if output.stat(DOCUMENT) is None:
        return None
    adaptor = read_adaptor(output)
    if adaptor.document.get("input_fingerprint") == fit.fingerprint:
        return adaptor
    raise InputError(
        f"output.uri {output.uri} holds adaptor {adaptor.adaptor_id[:16]}, fitted with another config "
        "or on another state of the source; give a new output.uri, or delete the folder first"
    )


def _learn(fit: _Fit, phases: Timings, numbers: dict[str, Any]) -> Adaptor:
    """The adaptor; the summary gets the numbers of the way to it."""
    config = fit.config
    phases.done("start")
    with Progress("fit", unit="steps", rates=("steps",), log=config.cluster.log) as progress:
        sample, queries = _sample(fit, progress)
        contents = fit_fingerprint(config, sample, queries)
        phases.done("sample")
        search = NeighbourSearch(config.cluster, config.source.metric)
        prepared = prepare(config, sample, queries, search, progress.note)
        phases.done("mine")
        state = train_on_cluster(prepared.job, config.cluster, fit.output, work_folder(fit.fingerprint), progress)
        selection = outcome(state, prepared.job)
        description = describe(config, sample, prepared, selection, state)
        for note in description["notes"]:
            progress.note(note)
        phases.done("train")
        progress.note("measuring the evidence on held-out rows")
        description |= {"fit_fingerprint": contents, "input_fingerprint": fit.fingerprint}
        adaptor = _measure(config, description, prepared, selection)
        phases.done("measure")
    numbers |= {"left_out_rows": len(sample.left_out), "steps": state.step, "best_step": state.best_step}
    return adaptor


def _sample(fit: _Fit, progress: Progress) -> tuple[Sample, Labelled | Queries | None]:
    """Everything that is read: the sample, and the queries with their judgments."""
    config, shards = fit.config, fit.shards
    for note in fit.source.notes():
        progress.note(note)
    infos = describe_all(config.source, shards)
    input_dim = dimension(fit.source, config.source, shards, infos)
    fitted_dims(config, input_dim)  # says what is wrong with them before anything is read
    log = read_query_log(config, input_dim)
    sample = draw(config, shards, infos, input_dim)
    progress.note(
        f"sampled {len(sample.vectors):,} of {sample.source_rows:,} rows in {plural(len(shards), 'shards')}, "
        f"d = {input_dim}" + (f"; left out {len(sample.left_out):,} unusable rows" if sample.left_out else "")
    )
    if doubled := len(sample.ids) - len(set(sample.ids)):
        progress.note(f"warning: {doubled:,} rows of the sample repeat an id")
    return sample, log or read_labelled(config, shards, sample)


def _measure(config: FitConfig, description: dict[str, Any], prepared: Prepared, selection: Selection) -> Adaptor:
    """The adaptor with its codes and its evidence."""
    bare = build(description, fold(selection.module, prepared.basis, selection.head), prepared.pca)
    # The cores of one worker: all of them together may be on several machines, where no task can have them.
    task = _coded.options(num_cpus=config.cluster.cpus_per_worker)
    codes, described = ray.get(task.remote(bare, prepared.held_out, prepared.searched, config.training.seed))
    return with_canary(with_codes(bare, codes, **described))


@ray.remote
def _coded(bare: Adaptor, held_out: Floats, searched: Floats, seed: int) -> tuple[FittedCodes, dict[str, Any]]:
    """The codes, and what the document says of held-out rows."""
    codes = fit_codes(bare, searched, held_out, seed)
    records = evidence(with_codes(bare, codes), held_out, searched)
    return codes, {"evidence": records, "drift": drift_reference(bare, held_out)}


def _write(fit: _Fit, adaptor: Adaptor) -> None:
    files = adaptor.to_files()
    fit.output.put("config.json", resolved(fit.given).encode())
    # The description goes last: a folder without it is not an artefact.
    for name in sorted(files, key=lambda name: name == DOCUMENT):
        fit.output.put(name, files[name])
    _clean_up(fit.output)


def _counts(fit: _Fit, adaptor: Adaptor) -> dict[str, Any]:
    """What a finished artefact tells about its fit, for the summary."""
    document = adaptor.document
    return {
        "adaptor_id": adaptor.adaptor_id,
        "fit_fingerprint": document["fit_fingerprint"],
        "rows": document["data"]["source_rows"],
        "sampled_rows": document["data"]["sampled_rows"],
        "shards": len(fit.shards),
        "source_snapshot": fit.source.snapshot(),
        "notes": fit.source.notes(),
        "input_bytes": sum(shard.size for shard in fit.shards),
    }


def _clean_up(output: Objects) -> None:
    """Remove the checkpoints, and the folders that stay behind on sources that keep empty ones."""
    for left in list(output.list(f"{WORK}/")):
        output.delete(left.key)
    # The artefact is complete: an empty folder that cannot be removed is no reason to fail.
    with suppress(OSError):
        output.arrow.delete_dir(output.path(WORK))
