"""A work item under examination: what verify's tasks are told, what they open and what they report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from jobs.commits.context import JobContext
from jobs.commits.ledger import LedgerRecord
from jobs.config.verify import VerifyConfig
from jobs.sources.columns import describe_vectors
from jobs.sources.fingerprints import Fingerprints
from jobs.sources.ids import id_texts
from jobs.sources.source import Shard, ShardInfo
from jobs.verify.checks import Finding

#: Rows looked at together.
BATCH_ROWS = 8192


@dataclass(frozen=True)
class ItemTask:
    """What to check: the record, whether its shard is still in the source, output rows to compute again (ascending),
    whether fingerprints of the ids are wanted."""

    record: LedgerRecord
    in_source: bool
    sampled: Sequence[int] | npt.NDArray[np.int64]
    wants_ids: bool


@dataclass
class ItemReport:
    """What came of it: rows of the output, the findings, and fingerprints of its ids (n,) if wanted."""

    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    prints: Fingerprints = field(default_factory=lambda: np.empty(0, np.uint64))


@lru_cache(maxsize=1)
def open_context(config_json: str) -> JobContext:
    """Everything opened from the configuration, once in a process."""
    return JobContext.open(VerifyConfig.model_validate_json(config_json))


class ItemContext:
    """A work item under examination: its record, its source, its output, and the report about it."""

    def __init__(self, job: JobContext, task: ItemTask) -> None:
        self.job, self.task, self.record = job, task, task.record
        self.shard = Shard(task.record.shard, task.record.size, task.record.version)
        self.columns = [job.config.source.id_column, job.config.source.vector_column]
        self.report = ItemReport()

    @cached_property
    def source_info(self) -> ShardInfo:
        """The shard described; `InputError` when it is not the one that was compressed."""
        info = describe_vectors(self.job.source, self.shard, self.job.config.source)
        run = self.record.row_groups
        if run is not None and run.total != len(info.row_group_rows):
            raise InputError(f"its source has {len(info.row_group_rows)} row groups, recorded are {run.total}")
        return info

    @cached_property
    def output_info(self) -> ShardInfo:
        """The output described; `InputError` when it is damaged."""
        return self.job.output_format.describe(self.job.output_version, self.record.output)

    @property
    def groups(self) -> range:
        """The row groups of the shard that belong to the work item."""
        run = self.record.row_groups
        return range(len(self.source_info.row_group_rows)) if run is None else range(run.start, run.stop)

    def output_batches(self) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Ids (as text) and vectors of the output, batch by batch."""
        job = self.job
        for batch in job.output_format.read(job.output_version, self.record.output, self.columns, BATCH_ROWS):
            yield id_texts(batch.table.column(self.columns[0])), batch.table.column(self.columns[1])

    def report_finding(self, check: str, problem: str) -> None:
        """Report something that is wrong."""
        self.report.findings.append(Finding(check, self.record.output, problem))
