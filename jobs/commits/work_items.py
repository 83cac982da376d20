"""What is left to do: a pure function of the source's listing, the ledger's listing and the options.

A work item is a shard, or a run of row groups of a shard that is larger than `split_bytes`. It is done when it has a
record of the shard's present version and an output. What is done stays as it was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adaptor.errors import InputError
from jobs.commits.names import RecordName, RowGroups, output_key, quarantine_key, record_name, shard_hash
from jobs.sources.source import Shard, ShardInfo


@dataclass(frozen=True)
class WorkItem:
    """A shard, or a run of its row groups: `input_bytes` of the file, written to an output that ends with `suffix`.
    `recorded`: it has a record already, whose output is lost."""

    shard: Shard
    row_groups: RowGroups | None
    input_bytes: int
    recorded: bool = False
    suffix: str = ".parquet"

    @property
    def record(self) -> RecordName:
        """Name of its record."""
        return record_name(self.shard, self.row_groups)

    @property
    def output(self) -> str:
        """Key of its output."""
        return output_key(self.shard, self.row_groups, self.suffix)

    @property
    def quarantine(self) -> str:
        """Key of its rejected rows, if it has any."""
        return quarantine_key(self.output, self.suffix)

    @property
    def title(self) -> str:
        """What messages call it."""
        run = self.row_groups
        return self.shard.key if run is None else f"{self.shard.key} (row groups {run.start} to {run.stop - 1})"


@dataclass(frozen=True)
class WorkPlan:
    """Work items `todo`, longest first, and `done`. `superseded` are records of other versions and cuts of shards of
    the source, `removed` those of shards that have left it."""

    todo: tuple[WorkItem, ...]
    done: tuple[WorkItem, ...]
    superseded: tuple[RecordName, ...]
    removed: tuple[RecordName, ...]


def undecided(shards: Iterable[Shard], recorded: Iterable[RecordName], split_bytes: int) -> list[Shard]:
    """The shards that must be described to plan: larger than `split_bytes` and not done as a whole."""
    whole = {(name.shard, name.version) for name in recorded if name.row_groups is None}
    names = ((shard, record_name(shard, None)) for shard in shards if shard.size > split_bytes)
    return [shard for shard, name in names if (name.shard, name.version) not in whole]


@dataclass(frozen=True)
class Planner:
    """The options of planning: work items of at most `split_bytes`, outputs that end with `suffix`."""

    split_bytes: int
    suffix: str

    def plan(
        self,
        shards: Sequence[Shard],
        recorded: Iterable[RecordName],
        outputs: Collection[str],
        described: Mapping[str, ShardInfo],
    ) -> WorkPlan:
        """Compare the source with the ledger; `outputs` exist below `data/`, `described` are the `undecided`, by key.

        `InputError` when two work items would share an output.
        """
        by_shard: dict[str, list[RecordName]] = defaultdict(list)
        for name in recorded:
            by_shard[name.shard].append(name)
        todo: list[WorkItem] = []
        done: list[WorkItem] = []
        superseded: list[RecordName] = []
        for shard in shards:
            names = by_shard.pop(shard_hash(shard.key), [])
            part = self._plan_shard(shard, names, outputs, described.get(shard.key))
            todo += part.todo
            done += part.done
            superseded += part.superseded
        owners: dict[str, str] = {}
        for item in (*todo, *done):
            if item.output in owners:
                raise InputError(
                    f"shards {owners[item.output]} and {item.shard.key} would share the output {item.output}: "
                    "rename one of them, or raise reading.split_bytes"
                )
            owners[item.output] = item.shard.key
        todo.sort(key=lambda item: (-item.input_bytes, item.output))
        return WorkPlan(tuple(todo), tuple(done), tuple(superseded), tuple(n for ns in by_shard.values() for n in ns))

    def _plan_shard(
        self, shard: Shard, names: Sequence[RecordName], outputs: Collection[str], info: ShardInfo | None
    ) -> WorkPlan:
        """What the records `names` of a shard leave to do."""
        current = [name for name in names if name.version == record_name(shard, None).version]
        reliable = [name for name in current if output_key(shard, name.row_groups, self.suffix) in outputs]
        runs = _disjoint([name.row_groups for name in reliable])
        sizes = _row_group_sizes(shard, info)
        done = [self._item(shard, run, sizes) for run in runs]
        todo = [self._item(shard, run, sizes) for run in _missing(runs, sizes, self.split_bytes)]
        todo = [replace(item, recorded=item.record in current) for item in todo]
        superseded = set(names) - {item.record for item in (*done, *todo)}
        return WorkPlan(tuple(todo), tuple(done), tuple(sorted(superseded, key=lambda name: name.key)), ())

    def _item(self, shard: Shard, run: RowGroups | None, sizes: Sequence[int]) -> WorkItem:
        size = shard.size
        if run is not None:
            size = size * (run.stop - run.start) // max(1, run.total)
            size = sum(sizes[run.start : run.stop]) if len(sizes) == run.total else size
        return WorkItem(shard, run, size, suffix=self.suffix)


def cut_twice(recorded: Iterable[RecordName]) -> int:
    """Shards whose rows stand twice: two runs at the same time cut them by different `split_bytes`, so that records
    overlap. The next plan relies on some of these and deletes the others."""
    runs: dict[tuple[str, str], list[RowGroups | None]] = defaultdict(list)
    for name in recorded:
        runs[name.shard, name.version].append(name.row_groups)
    return len({shard for (shard, _), cuts in runs.items() if len(_disjoint(cuts)) < len(cuts)})


def seams(runs: Iterable[RowGroups], total: int) -> Iterator[tuple[int, int]]:
    """Where each run stops and the next one starts, from 0 to `total`: the same unless rows are missing or doubled."""
    ordered = sorted(runs)
    return zip([0, *(run.stop for run in ordered)], [*(run.start for run in ordered), total], strict=True)


def _disjoint(runs: Collection[RowGroups | None]) -> list[RowGroups | None]:
    """The runs to rely on: a whole shard before any run, otherwise runs of one `total` that do not overlap."""
    if None in runs:
        return [None]
    chosen: list[RowGroups | None] = []
    end = 0
    ordered = sorted(run for run in runs if run is not None)
    for run in ordered:
        if run.total == ordered[0].total and end <= run.start < run.stop <= run.total:
            chosen.append(run)
            end = run.stop
    return chosen


def _missing(done: Sequence[RowGroups | None], sizes: Sequence[int], split_bytes: int) -> list[RowGroups | None]:
    """What these runs leave open: the gaps between them, cut to `split_bytes`; the whole shard if there are none."""
    if None in done:
        return []
    runs = [run for run in done if run is not None]
    total = runs[0].total if runs else len(sizes)
    gaps = [RowGroups(stop, start, total) for stop, start in seams(runs, total) if stop < start]
    if len(sizes) == total:  # otherwise today's `split_bytes` does not make the shard large: its footer was not read
        gaps = [run for gap in gaps for run in _cut(gap, sizes, split_bytes)]
    return [*gaps] if runs or len(gaps) > 1 else [None]


def _cut(gap: RowGroups, sizes: Sequence[int], split_bytes: int) -> list[RowGroups]:
    """Runs of at most `split_bytes` (at least one row group each); a cut never depends on what stands before it."""
    edges, size = [gap.start], 0
    for index in range(gap.start, gap.stop):
        if index > edges[-1] and size + sizes[index] > split_bytes:
            edges.append(index)
            size = 0
        size += sizes[index]
    return [RowGroups(start, stop, gap.total) for start, stop in zip(edges, [*edges[1:], gap.stop], strict=True)]


def _row_group_sizes(shard: Shard, info: ShardInfo | None) -> list[int]:
    """Bytes of each row group in the file, estimated from its share of the uncompressed bytes; [] without `info`."""
    uncompressed = () if info is None else info.row_group_bytes
    total = sum(uncompressed) or 1
    return [shard.size * size // total for size in uncompressed]
