"""What is left to do: a pure function of the source's listing, the ledger's listing and the options.

A work item is a shard, or a run of row groups of a shard that is larger than `split_bytes`. Done is what has a record
of the shard's present version, no record of another version (a worker that slept while the shard changed may have put
old rows over the new ones) and an output. Runs that are done stay as they were cut, whatever `split_bytes` is now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adaptor.errors import InputError
from jobs.commits.names import RecordName, RowGroups, output_key, quarantine_key, record_name, shard_hash
from jobs.sources.source import Shard, ShardInfo


@dataclass(frozen=True)
class WorkItem:
    """A shard, or a run of its row groups, with what its commit replaces.

    `input_bytes` is its share of the file, `suffix` the ending of its output. `stale_records` are deleted before the
    new output is written, `stale_outputs` (rejected rows, too) after its record: they belong to an earlier version of
    the shard. Its own record is among the former when it stands but cannot be relied on: its output is gone, or there
    is a record of another version.
    """

    shard: Shard
    row_groups: RowGroups | None
    input_bytes: int
    stale_records: tuple[str, ...] = ()
    stale_outputs: tuple[str, ...] = ()
    suffix: str = ".parquet"

    @property
    def record(self) -> RecordName:
        """Name of its record."""
        return record_name(self.shard, self.row_groups)

    @property
    def output(self) -> str:
        """Key of its output."""
        return output_key(self.shard.key, self.row_groups, self.suffix)

    @property
    def quarantine(self) -> str:
        """Key of its rejected rows, if it has any."""
        return quarantine_key(self.output, self.suffix, self.record.version)

    @property
    def title(self) -> str:
        """How messages call it."""
        run = self.row_groups
        return self.shard.key if run is None else f"{self.shard.key} (row groups {run.start} to {run.stop - 1})"


@dataclass(frozen=True)
class WorkPlan:
    """`todo`, longest first; `done` work items; keys of `leftovers` (superseded records and outputs), to be deleted;
    records of shards that were `removed` from the source."""

    todo: tuple[WorkItem, ...]
    done: tuple[WorkItem, ...]
    leftovers: tuple[str, ...]
    removed: tuple[RecordName, ...]


def undecided(shards: Iterable[Shard], recorded: Iterable[RecordName], split_bytes: int) -> list[Shard]:
    """The shards that must be described to plan: larger than `split_bytes` bytes and not done as a whole."""
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
        """Compare the source with the ledger.

        `outputs` are the keys that exist below `data/`; `described` by shard key, for the shards of `undecided`.
        `InputError` when two work items would share an output.
        """
        by_shard: dict[str, list[RecordName]] = defaultdict(list)
        for name in recorded:
            by_shard[name.shard].append(name)
        todo: list[WorkItem] = []
        done: list[WorkItem] = []
        leftovers: list[str] = []
        for shard in shards:
            names = by_shard.pop(shard_hash(shard.key), [])
            part = self._plan_shard(shard, names, outputs, described.get(shard.key))
            todo += part.todo
            done += part.done
            leftovers += part.leftovers
        _check_outputs_differ((*todo, *done))
        todo.sort(key=lambda item: (-item.input_bytes, item.output))
        return WorkPlan(tuple(todo), tuple(done), tuple(leftovers), tuple(n for ns in by_shard.values() for n in ns))

    def _plan_shard(
        self, shard: Shard, names: Sequence[RecordName], outputs: Collection[str], info: ShardInfo | None
    ) -> WorkPlan:
        """What the records `names` of a shard leave to do."""
        keys = {name: output_key(shard.key, name.row_groups, self.suffix) for name in names}
        version = record_name(shard, None).version
        present = [name for name in names if name.version == version]
        disputed = {key for name, key in keys.items() if name.version != version}
        valid = [name for name in present if keys[name] in outputs and keys[name] not in disputed]
        kept = _disjoint([name.row_groups for name in valid])
        sizes = _group_sizes(shard, info)
        done = [self._item(shard, run, sizes) for run in kept]
        todo = [self._item(shard, run, sizes) for run in _missing(kept, sizes, self.split_bytes)]
        again = {item.record for item in todo}.intersection(present)
        stale = [name for name in names if name not in again and not (name in valid and name.row_groups in kept)]
        current = {key for item in (*done, *todo) for key in (item.output, item.quarantine)}
        replaced = {keys[name] for name in stale}
        replaced |= {quarantine_key(keys[name], self.suffix, name.version) for name in stale}
        records, files = tuple(name.key for name in stale), tuple(sorted(replaced - current))
        if not todo:
            return WorkPlan((), tuple(done), (*records, *files), ())
        own = {item: (item.record.key,) if item.record in again else () for item in todo}
        todo = [replace(item, stale_records=records + own[item], stale_outputs=files) for item in todo]
        return WorkPlan(tuple(todo), tuple(done), (), ())

    def _item(self, shard: Shard, run: RowGroups | None, sizes: Sequence[int]) -> WorkItem:
        if run is None:
            return WorkItem(shard, None, shard.size, suffix=self.suffix)
        known = len(sizes) == run.total
        size = sum(sizes[run.start : run.stop]) if known else shard.size * (run.stop - run.start) // max(1, run.total)
        return WorkItem(shard, run, size, suffix=self.suffix)


def cut_twice(recorded: Iterable[RecordName]) -> int:
    """Shards of which one version has records that overlap, so that rows stand twice: two runs at the same time cut it
    by different `split_bytes`. The next plan relies on some of the records and deletes the others."""
    runs: dict[tuple[str, str], list[RowGroups | None]] = defaultdict(list)
    for name in recorded:
        runs[name.shard, name.version].append(name.row_groups)
    return len({shard for (shard, _), found in runs.items() if len(_disjoint(found)) < len(found)})


def orphans(outputs: Iterable[str], known: Collection[str]) -> list[str]:
    """The outputs that no work item and no record accounts for: a killed run of an earlier version left them."""
    return sorted(set(outputs) - set(known))


def _disjoint(runs: Sequence[RowGroups | None]) -> list[RowGroups | None]:
    """The runs to rely on: a whole shard before any run, otherwise runs of one `total` that do not overlap."""
    if not runs or None in runs:
        return [None] if runs else []
    kept: list[RowGroups | None] = []
    end = 0
    ordered = sorted(run for run in runs if run is not None)
    for run in ordered:
        if run.total == ordered[0].total and end <= run.start < run.stop <= run.total:
            kept.append(run)
            end = run.stop
    return kept


def _missing(kept: Sequence[RowGroups | None], sizes: Sequence[int], split_bytes: int) -> list[RowGroups | None]:
    """What the kept runs leave open: the gaps between them, cut to `split_bytes`; the whole shard if none are kept."""
    if None in kept:
        return []
    runs = [run for run in kept if run is not None]
    if not runs:
        cuts = _cut(sizes, 0, len(sizes), split_bytes)
        return [None] if len(cuts) <= 1 else [*cuts]
    total = runs[0].total
    edges = [0, *(edge for run in runs for edge in (run.start, run.stop)), total]
    gaps = [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]
    if len(sizes) != total:  # the shard is not large any more by today's `split_bytes`: its footer was not read
        return [RowGroups(start, stop, total) for start, stop in gaps]
    return [run for start, stop in gaps for run in _cut(sizes, start, stop, split_bytes)]


def _cut(sizes: Sequence[int], start: int, stop: int, split_bytes: int) -> list[RowGroups]:
    """Runs of at most `split_bytes` (at least one row group each); a cut never depends on what stands before it."""
    runs: list[RowGroups] = []
    first, held = start, 0
    for index in range(start, stop):
        if index > first and held + sizes[index] > split_bytes:
            runs.append(RowGroups(first, index, len(sizes)))
            first, held = index, 0
        held += sizes[index]
    return [*runs, RowGroups(first, stop, len(sizes))] if first < stop else runs


def _group_sizes(shard: Shard, info: ShardInfo | None) -> list[int]:
    """Bytes of each row group in the file, estimated from the share of its uncompressed size; [] when nobody described
    it."""
    if info is None:
        return []
    total = sum(info.row_group_bytes) or 1
    return [shard.size * size // total for size in info.row_group_bytes]


def _check_outputs_differ(items: Iterable[WorkItem]) -> None:
    owners: dict[str, WorkItem] = {}
    for item in items:
        other = owners.setdefault(item.output, item)
        if other is not item:
            raise InputError(
                f"shards {other.shard.key} and {item.shard.key} would share the output {item.output}: rename one of "
                "them, or raise reading.split_bytes"
            )
