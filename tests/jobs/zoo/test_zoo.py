"""Every kind of broken or odd shard ends in the documented way, whether bad rows stop the job or are set aside."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray.data  # noqa: F401 - as in the actors, where Ray's extension types are known to Arrow

from adaptor.errors import InputError
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import DATA, LEDGER, QUARANTINE
from jobs.commits.work_items import WorkItem
from jobs.compress.shard import ShardCompressor
from jobs.sources.columns import describe_vectors, dimension
from jobs.sources.sampling import read_rows
from jobs.sources.source import Shard, open_source
from jobs.verify.context import ItemTask
from jobs.verify.item import check_item
from tests.jobs.compress.workplace import DIM, OUTPUT_DIM, Workplace
from tests.jobs.zoo.bad_rows import bad_rows
from tests.jobs.zoo.damaged_files import damaged_files
from tests.jobs.zoo.kinds import Kind, from_bytes, with_wrong_histogram
from tests.jobs.zoo.odd_shards import odd_shards
from tests.jobs.zoo.wrong_columns import wrong_columns

ZOO = [*damaged_files(), *wrong_columns(), *bad_rows(), *odd_shards()]
REFUSED = [kind for kind in ZOO if kind.refused]
READABLE = [kind for kind in ZOO if not kind.refused]
BAD = [kind for kind in READABLE if kind.rejected]
#: Ends the process that reads its vectors directly, so it is only met in workers, and by those who read by pyarrow.
ABORTING = Kind("pyarrow aborts", from_bytes(with_wrong_histogram), "Repetition level histogram size mismatch")
POLICIES = ("stop", "quarantine")
#: The kinds have ids of all types.
SOURCE = {"ids": {"mixed": "keep"}}


@dataclass(frozen=True)
class Zoo:
    """A source with one shard of each kind, and an output version for each policy."""

    place: Workplace

    def sections(self, policy: str) -> dict[str, Any]:
        """Configuration under a policy."""
        output = {"uri": str(self.place.root / policy)}
        return {"source": SOURCE, "reading": {"bad_rows": policy}, "output": output}

    @cached_property
    def shards(self) -> dict[str, Shard]:
        """The listed shards, by key."""
        return {shard.key: shard for shard in self.place.shards()}

    @cached_property
    def compressors(self) -> dict[str, ShardCompressor]:
        """One for each policy."""
        return {policy: ShardCompressor(self.place.config(**self.sections(policy))) for policy in POLICIES}

    def compress(self, kind: Kind, policy: str) -> LedgerRecord:
        """What a worker does with the shard."""
        shard = self.shards[kind.key]
        return self.compressors[policy].compress(WorkItem(shard, None, shard.size))

    def written(self, kind: Kind, policy: str) -> list[str]:
        """Keys of everything that stands in the output version because of the shard."""
        there = self.place.output_version(**self.sections(policy))
        item = WorkItem(self.shards[kind.key], None, 0)
        return [key for key in (item.output, item.quarantine, item.record.key) if there.stat(key) is not None]

    def read(self, kind: Kind, policy: str, folder: str) -> pa.Table:
        """A file of the output version."""
        item = WorkItem(self.shards[kind.key], None, 0)
        key = item.output if folder == DATA else item.quarantine
        return _read(self.place.output_version(**self.sections(policy)).path(key))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    place = Workplace(tmp_path_factory.mktemp("zoo"))
    place.source.mkdir()
    for kind in (*ZOO, ABORTING):
        kind.make(place.source / kind.key)
    assert place.adaptor
    return Zoo(place)


def _read(path: Path | str) -> pa.Table:
    """All columns; not `read_table`, which cannot read two columns of one name."""
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        return file.read()


def _same(left: pa.Table, right: pa.Table) -> None:
    """Same types, metadata of the fields, and values: bit for bit, NaN and text that is no UTF-8 too."""
    assert [(f.name, f.type, f.nullable, f.metadata) for f in left.schema] == [
        (f.name, f.type, f.nullable, f.metadata) for f in right.schema
    ]
    for name, mine, other in zip(left.column_names, left.columns, right.columns, strict=True):
        assert repr(_values(mine)) == repr(_values(other)), name


def _values(column: pa.ChunkedArray) -> list[Any]:
    chunks = [chunk.view(pa.binary()) if pa.types.is_string(column.type) else chunk for chunk in column.chunks]
    return [value for chunk in chunks for value in chunk.to_pylist()]


def _rows(content: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Stretches of the table, as Arrow cannot take rows of every type."""
    starts = [row for row in rows if row - 1 not in set(rows)] if len(rows) < content.num_rows else []
    if not starts:
        return content.slice(0, len(rows))
    ends = [row + 1 for row in rows if row + 1 not in set(rows)]
    return pa.concat_tables([content.slice(start, end - start) for start, end in zip(starts, ends, strict=True)])


def _without_vectors(content: pa.Table) -> pa.Table:
    keep = [place for place, name in enumerate(content.column_names) if name != "vector"]
    return content.select(keep)


def test_the_zoo_is_large_and_named_without_doubles() -> None:
    assert len(ZOO) >= 60
    assert len({kind.name for kind in ZOO}) == len(ZOO)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_nothing_is_taken_from_a_refused_shard(zoo: Zoo, kind: Kind, policy: str) -> None:
    with pytest.raises(InputError, match=f"{re.escape(kind.key)}.*{kind.refused}"):
        zoo.compress(kind, policy)
    assert zoo.written(kind, policy) == []


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_stop_names_the_first_bad_row(zoo: Zoo, kind: Kind) -> None:
    row = min(kind.rejected)
    where = f"{kind.key}, row group {row // 20}, row {row % 20} "
    with pytest.raises(
        InputError, match=f"{re.escape(where)}.*{re.escape(kind.rejected[row])}; repair the row, or set"
    ):
        zoo.compress(kind, "stop")
    assert zoo.written(kind, "stop") == []


@pytest.mark.parametrize("kind", READABLE, ids=lambda kind: kind.name)
def test_good_rows_go_through_and_bad_ones_are_set_aside(zoo: Zoo, kind: Kind) -> None:
    policy = "quarantine" if kind.rejected else "stop"
    record = zoo.compress(kind, policy)
    source, output = _read(zoo.place.source / kind.key), zoo.read(kind, policy, DATA)
    good = [row for row in range(source.num_rows) if row not in kind.rejected]
    assert (record.rows_in, record.rows_out) == (source.num_rows, len(good))
    assert record.duplicate_ids == kind.doubled
    _same(_without_vectors(output), _without_vectors(_rows(source, good)))
    if good:
        long, short = (np.array(content["vector"].to_pylist(), np.float32) for content in (_rows(source, good), output))
        np.testing.assert_allclose(
            short.reshape(-1, OUTPUT_DIM), zoo.place.adaptor.transform(long, dim=OUTPUT_DIM), atol=1e-6
        )
    if kind.rejected:
        _check_quarantine(zoo, kind, source)
    _check_sampling(zoo, kind, good)
    task = ItemTask(record, True, range(len(good)), True)
    output_section = zoo.sections(policy)["output"]
    report = check_item(zoo.place.verify_config(source=SOURCE, output=output_section).model_dump_json(), task)
    assert report.findings == []


def _check_sampling(zoo: Zoo, kind: Kind, good: Sequence[int]) -> None:
    """What fit and verify read for a sample is what compress read."""
    section = zoo.place.config().source
    rows = np.array(sorted({*good[:1], *good[-1:], *kind.rejected}), np.int64)
    ids, _, reasons = read_rows(open_source(section), zoo.shards[kind.key], section, rows, DIM)
    assert len(ids) == len(rows)
    unusable = {int(rows[place]) for place in reasons}
    late = {"null id", "id is not UTF-8", "overflow", "zero after shortening"}
    assert unusable >= {row for row, why in kind.rejected.items() if why not in late}


def _check_quarantine(zoo: Zoo, kind: Kind, source: pa.Table) -> None:
    aside = zoo.read(kind, "quarantine", QUARANTINE)
    dim = source.num_columns
    reasons, groups, rows = (aside.column(dim + n).to_pylist() for n in range(3))
    assert {20 * group + row: why for group, row, why in zip(groups, rows, reasons, strict=True)} == kind.rejected
    _same(aside.select(range(dim)), _rows(source, sorted(kind.rejected)))


def test_the_driver_survives_what_aborts_pyarrow(zoo: Zoo) -> None:
    section, shard = zoo.place.config().source, zoo.shards[ABORTING.key]
    source = open_source(section)
    with pytest.raises(InputError, match=f"{ABORTING.key}, row group 0.*{ABORTING.refused}"):
        dimension(source, section, [shard], [describe_vectors(source, shard, section)])


@pytest.mark.usefixtures("ray_cluster")
def test_the_whole_zoo_in_one_run(zoo: Zoo, capsys: pytest.CaptureFixture[str]) -> None:
    sections = zoo.sections("quarantine") | {"output": {"uri": str(zoo.place.root / "one run")}}
    assert zoo.place.compress(**sections) == 1
    summary = json.loads(zoo.place.output_version(**sections).read("summary.json"))
    failed = {failure["shard"]: failure for failure in summary["failed"]}
    assert failed.keys() == {kind.key for kind in (*REFUSED, ABORTING)}
    aborted = failed[ABORTING.key]
    assert (aborted["kind"], aborted["attempts"]) == ("data", 2)  # the worker dies once, then pyarrow reads
    assert str(ABORTING.refused) in aborted["reason"]
    assert summary["rows_quarantined"] == sum(len(kind.rejected) for kind in BAD)
    assert summary["quarantine_files"] == len(BAD)
    assert len(zoo.place.output_version(**sections).read("summary.json")) > 0
    files = zoo.place.output_version(**sections)
    assert len(list(files.list(LEDGER))) == len(list(files.list(DATA))) == len(READABLE)
    assert "Traceback" not in capsys.readouterr().err
    status, verified = zoo.place.verify(**{name: part for name, part in sections.items() if name != "reading"})
    assert status == 1
    assert {check for check, state in verified["checks"].items() if state == "FAILED"} == {
        "coverage",
        "manifest",
        "unique",
    }
    missing = {finding["where"] for finding in verified["findings"] if finding["check"] == "coverage"}
    assert missing == failed.keys()
