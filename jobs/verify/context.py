"""A work item under examination: what a task of verify gets, what it opens and what it reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.commits.context import JobContext
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import row_group_range
from jobs.config.verify import VerifyConfig
from jobs.sources.columns import describe_vectors
from jobs.sources.fingerprints import Fingerprints
from jobs.sources.ids import id_texts
from jobs.sources.source import Shard, ShardInfo
from jobs.verify.checks import Check, Finding

#: Rows looked at together.
BATCH_ROWS = 8192


@dataclass(frozen=True)
class ItemTask:
    """What to check: a record, against its shard if `in_source`, and output rows to compute again (ascending)."""

    record: LedgerRecord
    in_source: bool
    sampled: Sequence[int] | npt.NDArray[np.int64]
    wants_ids: bool


@dataclass
class ItemReport:
    """Rows of the output, the findings, and fingerprints of the ids (n,) if wanted."""

    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    prints: Fingerprints = field(default_factory=lambda: np.empty(0, np.uint64))


@lru_cache(maxsize=1)
def open_context(config_json: str) -> JobContext[VerifyConfig]:
    """Opened once in a process."""
    return JobContext.open(VerifyConfig.model_validate_json(config_json))


class ItemContext:
    """The record of a work item, its source, its output, and the report about it."""

    def __init__(self, config_json: str, task: ItemTask) -> None:
        self.job, self.task, self.record = open_context(config_json), task, task.record
        self.shard = Shard(task.record.shard, task.record.size, task.record.version)
        self.id_column, self.vector_column = self.job.config.source.id_column, self.job.config.source.vector_column
        self.sampled = np.asarray(task.sampled, np.int64)
        self.report = ItemReport()

    @cached_property
    def source_info(self) -> ShardInfo:
        """The shard described."""
        return describe_vectors(self.job.source, self.shard, self.job.config.source)

    @cached_property
    def output_info(self) -> ShardInfo:
        """The output described; `InputError` when it is damaged."""
        return self.job.output_format.describe(self.job.output_version, self.record.output)

    @property
    def row_groups(self) -> range:
        """The row groups of the shard that belong to the item; `InputError` when it has not as many as recorded."""
        return row_group_range(self.record.row_groups, len(self.source_info.row_group_rows), "its source")

    def output_batches(self) -> Iterator[tuple[pa.Array, list[pa.Array]]]:
        """Ids (as text) and the columns of vectors of the output, batch by batch."""
        job, vectors = self.job, [column.name for column in self.job.vector_columns]
        columns = [self.id_column, *vectors]
        for batch in job.output_format.read(job.output_version, self.record.output, columns, BATCH_ROWS):
            yield id_texts(batch.table.column(self.id_column)), [batch.table.column(name) for name in vectors]

    def report_finding(self, check: Check, problem: str) -> None:
        """Report something that is wrong."""
        self.report.findings.append(Finding(check, self.record.output, problem))
