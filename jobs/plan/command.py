"""`matryoshka plan`: what a compress run would take, before anything is rented or written.

1. Count: list the source, subtract what an earlier run has done, read some footers (statistics.py). A small source
   stands in for one that is only described (described.py).
2. Measure: compress a few row groups here, with the code of the workers (calibration.py).
3. Work it out (estimate.py) and print it (report.py); `summary.uri` also gets it.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from adaptor.errors import InputError
from jobs.commits.context import JobContext
from jobs.commits.ledger import list_names
from jobs.compress.preflight import check_dimension
from jobs.config.compress import CompressConfig
from jobs.config.plan import CalibrationSection, PlanConfig
from jobs.plan.calibration import Rates, calibrate, choose_items
from jobs.plan.described import statistics_of, write_like
from jobs.plan.estimate import estimate
from jobs.plan.report import make_notes, report
from jobs.plan.statistics import SourceSample, bytes_left, sample_source
from jobs.runtime.plural import plural
from jobs.runtime.scratch import scratch_folder
from jobs.runtime.summary import write_summary
from jobs.storage.open import open_objects


def run(config: PlanConfig) -> int:
    """Print the estimate; 0. Raises `InputError` when source or adaptor cannot be used."""
    started = time.time()
    with scratch_folder() as scratch:
        compress = _compress_config(config, scratch)
        context = JobContext.open(compress)
        shards = context.source.shards()
        context = context.pinned()
        left = bytes_left(shards, list_names(context.output_version))
        if not left:
            print("nothing is left to do: every shard is compressed")
            return 0
        sample = sample_source(context.source, context.config.source, left, config.calibration)
        rates = _measure_rates(context, sample, config.calibration)
    described = config.describe
    if described is None:
        done = len(shards) - len(left)
        title = context.source.uri + (f" (less {plural(done, 'compressed shards')})" if done else "")
        sources = [sample.statistics]
    else:
        title = f"described source, {described.dim:,} → {described.output_dim:,} dimensions"
        sources = [statistics_of(described, rows) for rows in described.rows]
    estimates = [estimate(source, rates, config) for source in sources]
    notes = make_notes(config, rates, estimates, sample.unreadable) + context.source.notes()
    if config.summary is not None:
        numbers = {"rates": asdict(rates), "estimates": [asdict(each) for each in estimates], "notes": notes}
        objects = open_objects(config.summary.uri, config.summary.filesystem)
        write_summary(objects, "plan", {"config": config.model_dump(mode="json"), **numbers}, started)
    print(report(config, title, rates, estimates, notes))
    return 0


def _compress_config(config: PlanConfig, scratch: Path) -> CompressConfig:
    """The run that is planned, or one over a small source in `scratch` that is like the described one."""
    sections = config.model_dump(include={"source", "adaptor", "output", "reading", "cluster"})
    if config.describe is not None:
        sections |= write_like(config.describe, scratch, config.calibration.megabytes << 20)
    return CompressConfig.model_validate(sections)


def _measure_rates(context: JobContext[CompressConfig], sample: SourceSample, calibration: CalibrationSection) -> Rates:
    """How fast this machine compresses rows of the sample."""
    items = choose_items(sample.described, calibration.megabytes << 20, context.output_format.suffix)
    if not items:
        looked_at = len(sample.described)
        raise InputError(f"{context.source.uri}: none of {looked_at} shards that were looked at holds a row")
    check_dimension(context, items)
    return calibrate(context.config, items)
