"""A work item under examination: what verify's tasks are told, what they open and what they report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.adaptors import open_adaptor
from jobs.commits.ledger import Record
from jobs.commits.output_version import open_output_version
from jobs.config.commands import VerifyConfig
from jobs.sources.fingerprints import Fingerprints
from jobs.sources.ids import id_texts
from jobs.sources.parquet import Footer, Shard, open_parquet, read_footer
from jobs.sources.vectors import read_batches
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from jobs.verify.checks import Finding

#: Rows looked at together.
BATCH_ROWS = 8192


@dataclass(frozen=True)
class Task:
    """What to check: the record, whether its shard is still in the source, output rows to compute again (ascending),
    whether fingerprints of the ids are wanted."""

    record: Record
    in_source: bool
    sampled: Sequence[int] | npt.NDArray[np.int64]
    wants_ids: bool


@dataclass
class Report:
    """What was found: rows of the output, the findings, and fingerprints of its ids (n,) if wanted."""

    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    prints: Fingerprints = field(default_factory=lambda: np.empty(0, np.uint64))


@dataclass(frozen=True)
class Place:
    """Everything opened from the configuration, once in a process."""

    config: VerifyConfig
    adaptor: Adaptor
    source: Objects
    output_version: Objects

    @staticmethod
    @lru_cache(maxsize=1)
    def of(config_json: str) -> Place:
        """Open it, or return what this process opened before for the same configuration."""
        config = VerifyConfig.model_validate_json(config_json)
        adaptor = open_adaptor(config.adaptor, config.source)
        source = open_objects(config.source.uri, config.source.filesystem)
        return Place(config, adaptor, source, open_output_version(config.output, adaptor, config.output.dim))


class Subject:
    """A work item under examination: its record, its source, its output, and the report about it."""

    def __init__(self, place: Place, task: Task) -> None:
        self.place, self.task, self.record = place, task, task.record
        self.shard = Shard(task.record.shard, task.record.size, task.record.version)
        self.columns = [place.config.source.id_column, place.config.source.vector_column]
        self.report = Report()

    @cached_property
    def source(self) -> Footer:
        """The footer of the shard; `InputError` when it is not the file that was compressed."""
        footer = read_footer(self.place.source, self.shard, self.place.config.source)
        run = self.record.row_groups
        if run is not None and run.total != len(footer.row_group_rows):
            raise InputError(f"its source has {len(footer.row_group_rows)} row groups, recorded are {run.total}")
        return footer

    @property
    def groups(self) -> range:
        """The row groups of the shard that belong to the work item."""
        run = self.record.row_groups
        return range(len(self.source.row_group_rows)) if run is None else range(run.start, run.stop)

    def output_batches(self) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Ids (as text) and vectors of the output, batch by batch."""
        output = Shard(self.record.output, self.record.output_bytes, "")
        with open_parquet(self.place.output_version, output.key) as file:
            groups = range(file.metadata.num_row_groups)
        for batch in read_batches(self.place.output_version, output, groups, BATCH_ROWS, self.columns):
            yield id_texts(batch.table.column(self.columns[0])), batch.table.column(self.columns[1])

    def found(self, check: str, problem: str) -> None:
        """Report something that is wrong."""
        self.report.findings.append(Finding(check, self.record.output, problem))
