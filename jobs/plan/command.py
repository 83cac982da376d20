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

from adaptor.errors import InputError
from jobs.adaptors import open_adaptor
from jobs.commits.ledger import RecordName, RowGroups, list_names, record_name
from jobs.commits.output_version import open_output_version
from jobs.compress.preflight import check_dimension
from jobs.config.commands import CompressConfig
from jobs.config.plan import DescribeSection, PlanConfig
from jobs.plan.calibration import Rates, calibrate, choose_items
from jobs.plan.described import config_of, statistics_of, write_like
from jobs.plan.estimate import Cluster, SourceStatistics, estimate
from jobs.plan.report import advice, report, summary
from jobs.plan.statistics import SampledStatistics, sample_statistics, whole
from jobs.runtime.plural import plural
from jobs.runtime.scratch import scratch_folder
from jobs.runtime.summary import write_summary
from jobs.sources.parquet import Shard
from jobs.storage.local import LocalObjects
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from jobs.storage.s3 import S3Objects

_MEGABYTE = 1 << 20


def run(config: PlanConfig) -> int:
    """Print the estimate; 0. Raises `InputError` when source or adaptor cannot be used."""
    started = time.time()
    if config.describe is None:
        found = _real(config)
        if found is None:
            sys.stdout.write("nothing is left to do: every shard is compressed\n")
            return 0
        where, rates, statistics, unreadable = found
    else:
        where, rates, statistics, unreadable = _described(config, config.describe)
    cluster = Cluster(config.cluster.workers, config.cluster.cpus_per_worker, config.machines)
    estimates = [estimate(source, rates, cluster, config.reading.split_bytes, config.prices) for source in statistics]
    notes = advice(config, rates, estimates, unreadable)
    if config.summary is not None:
        there = open_objects(config.summary.uri, config.summary.filesystem)
        facts = {"config": config.model_dump(mode="json"), **summary(rates, estimates, notes)}
        write_summary(there, "plan", facts, started)
    sys.stdout.write(report(config, where, rates, estimates, notes))
    return 0


def _real(config: PlanConfig) -> tuple[str, Rates, list[SourceStatistics], int] | None:
    """Counts of what is left of the source, and this machine measured on rows of it; None when all is done."""
    if config.source is None or config.adaptor is None or config.output is None:
        raise InputError("give source, adaptor and output, or describe a source")  # the schema has seen to that
    compress = CompressConfig(
        source=config.source,
        adaptor=config.adaptor,
        output=config.output,
        reading=config.reading,
        cluster=config.cluster,
    )
    adaptor = open_adaptor(config.adaptor, config.source)
    output_version = open_output_version(config.output, adaptor, config.output.dim)
    objects = open_objects(config.source.uri, config.source.filesystem)
    left = _left(list_names(output_version))
    sampled = sample_statistics(objects, config.source, config.calibration.footers, config.calibration.seed, left)
    if sampled is None:
        return None
    items = choose_items(sampled.sampled, sampled.footers, config.calibration.megabytes * _MEGABYTE)
    if not items:
        raise InputError(f"{config.source.uri}: none of {len(sampled.sampled)} shards that were looked at holds a row")
    check_dimension(compress, adaptor, items)
    rates = calibrate(compress, items)
    where = config.source.uri + (f" (less {plural(sampled.done, 'compressed shards')})" if sampled.done else "")
    return where, rates, [_statistics(objects, sampled, config.source.vector_column)], sampled.unreadable


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


def _statistics(objects: Objects, sampled: SampledStatistics, vector_column: str) -> SourceStatistics:
    return SourceStatistics(
        sizes=sampled.sizes,
        rows=sampled.rows,
        rows_error=sampled.rows_error,
        row_groups=sampled.row_groups,
        columns=sampled.columns,
        vector_share=sampled.vector_share,
        object_store=isinstance(objects, S3Objects),
        reads_measured=True,
        buffer_bytes=objects.buffer_bytes,
        local=isinstance(objects, LocalObjects),
    )


def _described(config: PlanConfig, described: DescribeSection) -> tuple[str, Rates, list[SourceStatistics], int]:
    """The description as counts, and this machine measured on a small source like it."""
    with scratch_folder() as scratch:
        write_like(described, scratch, config.calibration.megabytes * _MEGABYTE)
        compress = config_of(described, config, scratch)
        objects = open_objects(compress.source.uri, compress.source.filesystem)
        sampled = sample_statistics(objects, compress.source, 2, 0)
        if sampled is None:
            raise InputError("the described source is empty")  # nothing of it can be done
        items = choose_items(sampled.sampled, sampled.footers, config.calibration.megabytes * _MEGABYTE)
        rates = calibrate(compress, items)
    statistics = [statistics_of(described, rows) for rows in described.rows]
    return f"described source, {described.dim:,} → {described.dim:,} dimensions", rates, statistics, 0
