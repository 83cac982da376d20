"""`matryoshka plan`: what a compress run would take, before anything is rented or written.

1. Count: list the store, read some footers (`jobs.planning.census`), or take the description. 2. Measure: compress a
few row groups here, with the code of the workers (`jobs.planning.calibration`). 3. Work it out
(`jobs.planning.estimate`). Nothing is written outside a scratch folder, unless `summary.uri` asks for it.
"""

from __future__ import annotations

import sys
import time

from adaptor.errors import InputError
from jobs.artefact import open_adaptor
from jobs.config.commands import CompressConfig
from jobs.config.planning import DescribeSection, PlanConfig
from jobs.planning.calibration import Rates, calibrate, choose_items
from jobs.planning.census import Census, take_census
from jobs.planning.described import config_of, stock_of, write_like
from jobs.planning.estimate import Cluster, Stock, estimate
from jobs.planning.report import advice, report, summary
from jobs.store.objects import Objects, open_objects
from jobs.store.objects_s3 import S3Objects
from jobs.store.scratch import scratch_folder
from jobs.summary import write_summary

_MEGABYTE = 1 << 20


def run(config: PlanConfig) -> int:
    """Print the estimate; 0. Raises `InputError` when store or adaptor cannot be used."""
    started = time.time()
    if config.describe is None:
        where, rates, stocks, unreadable = _real(config)
    else:
        where, rates, stocks, unreadable = _described(config, config.describe)
    cluster = Cluster(config.cluster.workers, config.cluster.cpus_per_worker, config.machines)
    estimates = [estimate(stock, rates, cluster, config.reading.split_bytes, config.prices) for stock in stocks]
    notes = advice(config, rates, estimates, unreadable)
    if config.summary is not None:
        there = open_objects(config.summary.uri, config.summary.filesystem)
        facts = {"config": config.model_dump(mode="json"), **summary(rates, estimates, notes)}
        write_summary(there, "plan", facts, started)
    sys.stdout.write(report(config, where, rates, estimates, notes))
    return 0


def _real(config: PlanConfig) -> tuple[str, Rates, list[Stock], int]:
    """Counts of the store, and this machine measured on rows of it."""
    if config.store is None or config.adaptor is None or config.output is None:
        raise InputError("give store, adaptor and output, or describe a store")  # the schema has seen to that
    compress = CompressConfig(
        store=config.store,
        adaptor=config.adaptor,
        output=config.output,
        reading=config.reading,
        cluster=config.cluster,
    )
    open_adaptor(config.adaptor, config.store)
    objects = open_objects(config.store.uri, config.store.filesystem)
    census = take_census(objects, config.store, config.calibration.footers, config.calibration.seed)
    items = choose_items(census.sampled, census.footers, config.calibration.megabytes * _MEGABYTE)
    if not items:
        raise InputError(f"{config.store.uri}: none of {len(census.sampled)} shards that were looked at holds a row")
    rates = calibrate(compress, items)
    return config.store.uri, rates, [_stock(objects, census, config.store.vector_column)], census.unreadable


def _stock(objects: Objects, census: Census, vector_column: str) -> Stock:
    return Stock(
        sizes=census.sizes,
        rows=census.rows,
        rows_error=census.rows_error,
        row_groups=census.row_groups,
        columns=census.columns,
        vector_share=census.vector_share,
        object_store=isinstance(objects, S3Objects),
        reads_measured=True,
        buffer_bytes=objects.buffer_bytes,
    )


def _described(config: PlanConfig, described: DescribeSection) -> tuple[str, Rates, list[Stock], int]:
    """The description as counts, and this machine measured on a small store like it."""
    with scratch_folder() as scratch:
        write_like(described, scratch, config.calibration.megabytes * _MEGABYTE)
        compress = config_of(described, config, scratch)
        objects = open_objects(compress.store.uri, compress.store.filesystem)
        census = take_census(objects, compress.store, 2, 0)
        items = choose_items(census.sampled, census.footers, config.calibration.megabytes * _MEGABYTE)
        rates = calibrate(compress, items)
    stocks = [stock_of(described, rows) for rows in described.rows]
    return f"a described store of {described.dim} dimensions, to {described.width}", rates, stocks, 0
