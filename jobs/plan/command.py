"""`matryoshka plan`: what a compress run would take, before anything is rented or written.

1. Count: list the source, subtract what an earlier run has done, read some footers (`jobs.plan.statistics`), or take
the description. 2. Measure: compress a few row groups here, with the code of the workers (`jobs.plan.calibration`).
3. Work it out (`jobs.plan.estimate`). Nothing is written but in a scratch folder, unless `summary.uri` asks for it.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from adaptor.errors import InputError
from jobs.commits.context import JobContext
from jobs.commits.ledger import list_names
from jobs.commits.names import RecordName, RowGroups, record_name
from jobs.compress.preflight import check_dimension
from jobs.config.compress import CompressConfig
from jobs.config.plan import DescribeSection, PlanConfig
from jobs.config.sections import SourceSection
from jobs.plan.calibration import Rates, calibrate, choose_items
from jobs.plan.described import config_of, statistics_of, write_like
from jobs.plan.estimate import Cluster, SourceStatistics, estimate
from jobs.plan.report import advice, report, summary
from jobs.plan.statistics import SampledStatistics, sample_statistics, whole
from jobs.runtime.plural import plural
from jobs.runtime.scratch import scratch_folder
from jobs.runtime.summary import write_summary
from jobs.sources.source import Shard, open_source
from jobs.storage.local import LocalObjects
from jobs.storage.open import open_objects
from jobs.storage.s3 import S3Objects

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Measured:
    """The source in numbers (several for several described ones), how this machine compresses rows of it, and shards
    that could not be read; `title` heads the report."""

    title: str
    rates: Rates
    statistics: list[SourceStatistics]
    unreadable: int = 0


def run(config: PlanConfig) -> int:
    """Print the estimate; 0. Raises `InputError` when source or adaptor cannot be used."""
    started = time.time()
    measured = _measure_source(config) if config.describe is None else _measure_described(config, config.describe)
    if measured is None:
        sys.stdout.write("nothing is left to do: every shard is compressed\n")
        return 0
    cluster = Cluster(config.cluster.workers, config.cluster.cpus_per_worker, config.machines)
    estimates = [
        estimate(statistics, measured.rates, cluster, config.reading.split_bytes, config.prices)
        for statistics in measured.statistics
    ]
    notes = advice(config, measured.rates, estimates, measured.unreadable)
    if config.summary is not None:
        objects = open_objects(config.summary.uri, config.summary.filesystem)
        facts = {"config": config.model_dump(mode="json"), **summary(measured.rates, estimates, notes)}
        write_summary(objects, "plan", facts, started)
    sys.stdout.write(report(config, measured.title, measured.rates, estimates, notes))
    return 0


def _measure_source(config: PlanConfig) -> Measured | None:
    """What is left of the source, and this machine measured on rows of it; None when all is done."""
    if config.source is None or config.adaptor is None or config.output is None:
        raise InputError("give source, adaptor and output, or describe a source")  # the schema has seen to that
    compress = CompressConfig(
        source=config.source,
        adaptor=config.adaptor,
        output=config.output,
        reading=config.reading,
        cluster=config.cluster,
    )
    context, section, calibration = JobContext.open(compress), config.source, config.calibration
    left = _left(list_names(context.output_version))
    sample = sample_statistics(context.source, section, calibration.footers, calibration.seed, left)
    if sample is None:
        return None
    items = choose_items(sample, calibration.megabytes * _MEGABYTE, context.output_format.suffix)
    if not items:
        raise InputError(f"{section.uri}: none of {len(sample.shards)} shards that were looked at holds a row")
    check_dimension(context, compress, items)
    title = section.uri + (f" (less {plural(sample.done, 'compressed shards')})" if sample.done else "")
    return Measured(title, calibrate(compress, items), [_statistics(section, sample)], sample.unreadable)


def _left(recorded: Iterable[RecordName]) -> Callable[[Shard], int]:
    """How many bytes of a shard no record speaks of. Whether the outputs are all there only compress looks up."""
    runs: dict[tuple[str, str], list[RowGroups | None]] = defaultdict(list)
    for name in recorded:
        runs[name.shard, name.version].append(name.row_groups)

    def left(shard: Shard) -> int:
        """Bytes of the shard that are still to be compressed."""
        name = record_name(shard, None)
        done = sum(
            1 if run is None else (run.stop - run.start) / run.total for run in runs.get((name.shard, name.version), ())
        )
        return round(shard.size * max(0.0, 1 - done))

    return left if runs else whole


def _statistics(section: SourceSection, sample: SampledStatistics) -> SourceStatistics:
    storage = open_objects(section.uri, section.filesystem)
    return SourceStatistics(
        sizes=sample.sizes,
        rows=sample.rows,
        rows_error=sample.rows_error,
        row_groups=sample.row_groups,
        columns=sample.columns.count,
        vector_share=sample.columns.vector_share,
        object_store=isinstance(storage, S3Objects),
        reads_measured=True,
        buffer_bytes=storage.buffer_bytes,
        local=isinstance(storage, LocalObjects),
    )


def _measure_described(config: PlanConfig, described: DescribeSection) -> Measured:
    """The description as counts, and this machine measured on a small source like it."""
    with scratch_folder() as scratch:
        write_like(described, scratch, config.calibration.megabytes * _MEGABYTE)
        compress = config_of(described, config, scratch)
        sample = sample_statistics(open_source(compress.source), compress.source, 2, 0)
        if sample is None:
            raise InputError("the described source is empty")  # nothing of it can be done
        items = choose_items(sample, config.calibration.megabytes * _MEGABYTE, ".parquet")
        rates = calibrate(compress, items)
    statistics = [statistics_of(described, rows) for rows in described.rows]
    return Measured(f"described source, {described.dim:,} → {described.output_dim:,} dimensions", rates, statistics)
