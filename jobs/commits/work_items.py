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
from jobs.commits.ledger import RecordName, RowGroups, output_key, quarantine_key, record_name, shard_hash
from jobs.sources.parquet import Footer, Shard

#: What a work item takes beside its bytes (open, publish, record), in bytes that take as long.
ITEM_BYTES = 4 << 20
#: Groups of work items that a worker has before it at least, as long as there are items.
_LAST_GROUPS = 4


@dataclass(frozen=True)
class WorkItem:
    """A shard, or a run of its row groups, with what its commit replaces.

    `input_bytes` is its share of the file. `stale_records` are deleted before the new output is written,
    `stale_outputs` (rejected rows, too) after its record: they belong to an earlier version of the shard. Its own
    record is among the former when it stands but cannot be relied on: its output is gone, or there is a record of
    another version.
    """

    shard: Shard
    row_groups: RowGroups | None
    input_bytes: int
    stale_records: tuple[str, ...] = ()
    stale_outputs: tuple[str, ...] = ()

    @property
    def record(self) -> RecordName:
        """Name of its record."""
        return record_name(self.shard, self.row_groups)

    @property
    def output(self) -> str:
        """Key of its output."""
        return output_key(self.shard.key, self.row_groups)

    @property
    def quarantine(self) -> str:
        """Key of its rejected rows, if it has any."""
        return quarantine_key(self.output, self.record.version)

    @property
    def title(self) -> str:
        """How messages call it."""
        run = self.row_groups
        return self.shard.key if run is None else f"{self.shard.key} (row groups {run.start} to {run.stop - 1})"


@dataclass(frozen=True)
class Plan:
    """`todo`, longest first; `done` work items; keys of `leftovers` (superseded records and outputs), to be deleted;
    records of shards that were `removed` from the source."""

    todo: tuple[WorkItem, ...]
    done: tuple[WorkItem, ...]
    leftovers: tuple[str, ...]
    removed: tuple[RecordName, ...]


def undecided(shards: Iterable[Shard], recorded: Iterable[RecordName], split_bytes: int) -> list[Shard]:
    """The shards whose footer is needed to plan: larger than `split_bytes` bytes and not done as a whole."""
    whole = {(name.shard, name.version) for name in recorded if name.row_groups is None}
    names = ((shard, record_name(shard, None)) for shard in shards if shard.size > split_bytes)
    return [shard for shard, name in names if (name.shard, name.version) not in whole]


def plan(
    shards: Sequence[Shard],
    recorded: Iterable[RecordName],
    outputs: Collection[str],
    footers: Mapping[str, Footer],
    split_bytes: int,
) -> Plan:
    """Compare the source with the ledger.

    `outputs` are the keys that exist below `data/`; `footers` by shard key, for the shards of `undecided`. `InputError`
    when a run of a split shard would have the output key of another shard.
    """
    by_shard: dict[str, list[RecordName]] = defaultdict(list)
    for name in recorded:
        by_shard[name.shard].append(name)
    todo: list[WorkItem] = []
    done: list[WorkItem] = []
    leftovers: list[str] = []
    for shard in shards:
        names = by_shard.pop(shard_hash(shard.key), [])
        version = record_name(shard, None).version
        present = [name for name in names if name.version == version]
        disputed = {output_key(shard.key, n.row_groups) for n in names if n.version != version}
        keys = {name: output_key(shard.key, name.row_groups) for name in present}
        valid = [name for name, key in keys.items() if key in outputs and key not in disputed]
        kept = _disjoint([name.row_groups for name in valid])
        sizes = _group_sizes(shard, footers.get(shard.key))
        done_here = [_item(shard, run, sizes) for run in kept]
        todo_here = [_item(shard, run, sizes) for run in _missing(kept, sizes, split_bytes)]
        again = {item.record for item in todo_here}.intersection(present)
        stale = [n for n in names if n not in again and not (n in valid and n.row_groups in kept)]
        current = {key for item in (*done_here, *todo_here) for key in (item.output, item.quarantine)}
        records = tuple(name.key for name in stale)
        replaced = {(output_key(shard.key, name.row_groups), name.version) for name in stale}
        files = tuple(sorted({key for one in replaced for key in (one[0], quarantine_key(*one))} - current))
        for item in todo_here:
            own = (item.record.key,) if item.record in again else ()
            todo.append(replace(item, stale_records=records + own, stale_outputs=files))
        done += done_here
        if not todo_here:
            leftovers += (*records, *files)
    _check_outputs_differ(shards, (*todo, *done))
    todo.sort(key=lambda item: (-item.input_bytes, item.output))
    return Plan(tuple(todo), tuple(done), tuple(leftovers), tuple(n for ns in by_shard.values() for n in ns))


def work(items: Iterable[WorkItem]) -> int:
    """What the items take, in bytes that take as long."""
    return sum(item.input_bytes + ITEM_BYTES for item in items)


def blocks(items: Sequence[WorkItem], parts: int, workers: int) -> list[list[WorkItem]]:
    """Group the items, in their order, into what a worker takes at a time: about `parts` groups of like work.

    Towards the end they get smaller, down to single items: a group is at most a fourth of what each worker still has
    before it, so that none sits on a long one when the others are done (guided self-scheduling, Polychronopoulos and
    Kuck 1987). Less than 2·`parts` groups, and some for each worker.
    """
    left = float(work(items))
    largest = left / parts
    groups: list[list[WorkItem]] = []
    held = 0.0
    for item in items:
        more = work([item])
        if not groups or held + more > min(largest, left / (_LAST_GROUPS * workers)):
            groups.append([])
            left -= held
            held = 0.0
        groups[-1].append(item)
        held += more
    return groups


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


def _group_sizes(shard: Shard, footer: Footer | None) -> list[int]:
    """Bytes of each row group in the file, estimated from the share of its uncompressed size; [] without a footer."""
    if footer is None:
        return []
    total = sum(footer.row_group_bytes) or 1
    return [shard.size * size // total for size in footer.row_group_bytes]


def _item(shard: Shard, run: RowGroups | None, sizes: Sequence[int]) -> WorkItem:
    if run is None:
        return WorkItem(shard, None, shard.size)
    known = len(sizes) == run.total
    size = sum(sizes[run.start : run.stop]) if known else shard.size * (run.stop - run.start) // max(1, run.total)
    return WorkItem(shard, run, size)


def _check_outputs_differ(shards: Sequence[Shard], items: Iterable[WorkItem]) -> None:
    keys = {shard.key for shard in shards}
    for item in items:
        if item.row_groups is not None and item.output.removeprefix("data/") in keys:
            other = item.output.removeprefix("data/")
            raise InputError(
                f"shards {item.shard.key} and {other} would share the output {item.output}: rename one of them, "
                "or raise reading.split_bytes"
            )
