"""The checks of all outputs as Ray tasks, a bounded number at a time, and the search for doubled ids across them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import ray

from jobs.config.verify import VerifyConfig
from jobs.runtime.progress import Progress
from jobs.runtime.task_pool import completed
from jobs.sources.fingerprints import Fingerprints, doubled
from jobs.verify.checks import Finding
from jobs.verify.context import ItemTask
from jobs.verify.item import check_item, find_ids

#: Doubled ids that are looked up by name.
_NAMED_IDS = 10


def check_outputs(config: VerifyConfig, tasks: Sequence[ItemTask]) -> tuple[int, list[Finding]]:
    """Check every output on the connected cluster: rows in all, and the findings.

    Raises `InputError` when source or artefact cannot be used, `RunError` for outages and when a worker keeps dying.
    """
    rows, findings = 0, list[Finding]()
    prints = np.empty(0, np.uint64)
    with Progress(
        "verify", total=len(tasks), unit="work items", rates=("vectors",), log=config.cluster.log
    ) as progress:
        for report in _results(config, check_item, ((task,) for task in tasks)):
            rows += report.rows
            findings += report.findings
            prints.resize(len(prints) + len(report.prints), refcheck=False)  # in place: a copy would be as large
            prints[len(prints) - len(report.prints) :] = report.prints
            progress.advance(vectors=report.rows, findings=len(report.findings))
    prints.sort()
    return rows, findings + _name_doubled(config, tasks, doubled(prints))


def _name_doubled(config: VerifyConfig, tasks: Sequence[ItemTask], prints: Fingerprints) -> list[Finding]:
    """The ids behind doubled fingerprints, from a second look at the outputs."""
    if not len(prints):
        return []
    names: Counter[str] = Counter()
    for ids in _results(config, find_ids, ((task.record, prints[:_NAMED_IDS]) for task in tasks)):
        names.update(ids)
    shown = ", ".join(f"{name!r} ({count} times)" for name, count in sorted(names.items()) if count > 1)
    problem = (
        f"{len(prints):,} ids occur more than once: {shown}; if the check of ids holds, the source itself has them "
        "twice (verification.unique_ids_up_to: 0 leaves this check out)"
    )
    return [Finding("unique", "all outputs", problem)]


def _results(config: VerifyConfig, function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
    """Results of a function of the configuration and the arguments of a call, as Ray tasks, as many as workers."""
    cluster = config.cluster
    task = ray.remote(num_cpus=cluster.cpus_per_worker, max_retries=2)(function)
    config_json = config.model_dump_json()
    with_config = ((config_json, *call) for call in calls)
    return (result for _, result in completed(task, with_config, cluster.max_workers, "checked the outputs"))
