"""Drift: whether what a run has compressed is like what its adaptor was fitted on (adaptor/drift.py measures it)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.drift import SAMPLE_ROWS, DriftSample, drift_sample, of_another_space, of_another_topic
from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import RowGroups
from jobs.runtime.plural import plural
from jobs.sources.source import Batch, ShardInfo
from jobs.sources.vectors import decode

#: Shards that are named in the report, and in summary.json.
_SHOWN, _LISTED = 5, 1000


class RowsForDrift:
    """Collects evenly spaced rows of a work item: little memory, and a product of a few hundred rows."""

    def __init__(self, adaptor: Adaptor, info: ShardInfo, row_groups: RowGroups | None) -> None:
        starts = info.row_group_starts
        first, stop = (0, len(starts) - 1) if row_groups is None else (row_groups.start, row_groups.stop)
        rows = int(starts[stop] - starts[first])
        self._adaptor, self._starts, self._stride = adaptor, starts, max(1, rows // SAMPLE_ROWS)
        self._rows: list[Floats] = []

    def add(self, batch: Batch, column: pa.Array, rejected: Collection[int]) -> None:
        """Take what is wanted of a batch; rows that the job rejects do not count."""
        if "drift" not in self._adaptor.document:
            return
        first = int(self._starts[batch.row_group]) + batch.first_row
        wanted = np.arange(-first % self._stride, len(column), self._stride)
        wanted = np.setdiff1d(wanted, np.fromiter(rejected, np.int64, len(rejected)))
        if len(wanted):
            self._rows.append(decode(column.take(pa.array(wanted)), self._adaptor.input_dim).vectors)

    def sample(self) -> DriftSample | None:
        """What they say."""
        return drift_sample(self._adaptor, np.concatenate(self._rows)) if self._rows else None


Kind = Literal["none", "topic", "space"]


@dataclass(frozen=True)
class Drift:
    """Shards, new or changed, that are unlike what the adaptor was fitted on: of another space, or on another topic;
    and how many were looked at."""

    shards: int
    space: dict[str, DriftSample] = field(default_factory=dict)
    topic: dict[str, DriftSample] = field(default_factory=dict)

    @classmethod
    def of(cls, adaptor: Adaptor, records: Iterable[LedgerRecord]) -> Drift:
        """Judge each shard by what its records say."""
        samples: dict[str, list[DriftSample]] = defaultdict(list)
        for record in records:
            if record.drift is not None:
                samples[record.shard].append(record.drift)
        drift = cls(len(samples))
        for shard, found in sorted(samples.items()):
            if of_another_space(found):
                drift.space[shard] = _joined(found)
            elif of_another_topic(adaptor, found):
                drift.topic[shard] = _joined(found)
        return drift

    @property
    def kind(self) -> Kind:
        """The worse of what was found."""
        return "space" if self.space else "topic" if self.topic else "none"

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json."""
        listed = {
            name: {shard: asdict(one) for shard, one in list(shards.items())[:_LISTED]}
            for name, shards in (("space", self.space), ("topic", self.topic))
        }
        counts = {"shards_of_another_space": len(self.space), "shards_on_another_topic": len(self.topic)}
        return {"kind": self.kind, "shards": self.shards, **counts, **listed}

    def notes(self, promised: dict[str, Any]) -> list[str]:
        """Lines for the user."""
        notes = []
        if self.space:
            named = [f"{shard} ({one.apart / one.rows:.0%} of its rows)" for shard, one in self.space.items()]
            notes.append(
                f"drift: {plural(len(self.space), 'shards')} of another space: {_some(named)}. Another model or "
                "version made these vectors, and the adaptor means nothing to them: embed them again as the rest was"
            )
        if self.topic:
            named = [f"{shard} (overlap@10 {one.overlap:.2f})" for shard, one in self.topic.items()]
            notes.append(
                f"drift: {plural(len(self.topic), 'shards')} on another topic: {_some(named)}. The fit's own rows keep "
                f"{promised['overlap@10']:.2f} there at dim {promised['dim']}: fit again to keep more of them"
            )
        return notes


class DriftError(InputError):
    """What was compressed is unlike what the adaptor was fitted on, and the configuration says not to go on then."""

    def __init__(self, message: str, drift: Drift) -> None:
        super().__init__(message)
        self.drift = drift


def _joined(samples: list[DriftSample]) -> DriftSample:
    """What the work items of one shard say together."""
    lost = [one.lost for one in samples if one.lost is not None]
    overlaps = [one.overlap for one in samples if one.overlap is not None]
    return DriftSample(
        rows=sum(one.rows for one in samples),
        apart=sum(one.apart for one in samples),
        lost=round(float(np.mean(lost)), 4) if lost else None,
        overlap=round(float(np.mean(overlaps)), 4) if overlaps else None,
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
