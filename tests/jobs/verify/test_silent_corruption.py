"""A flipped bit anywhere in output, quarantine, ledger, description or artefact is found by verify: 100% of the bytes.

Also what no checksum of one file can see: rows that changed places between files, with all checksums made to agree.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.commits.ledger import list_names, read_record
from jobs.commits.manifest import MANIFEST, OutputFile
from jobs.commits.names import LEDGER
from jobs.commits.output_version import DESCRIPTION, claim, describe
from jobs.commits.sequences import Contents, add_sequence
from jobs.commits.work_items import WorkItem
from jobs.compress.shard import ShardCompressor
from jobs.config.verify import VerifyConfig
from jobs.verify import command as verify
from jobs.verify import tasks
from jobs.verify.context import open_context
from tests.jobs.compress.workplace import Workplace, lists, table, vectors

_SAMPLED_FLIPS = 150


@pytest.fixture
def output_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """Two shards of a few rows, one of them with a rejected row, compressed and to be verified in this process."""
    place = Workplace(tmp_path)
    place.put("a.parquet", table(6, seed=1))
    rows: list[Any] = [*vectors(6, 2).tolist()]
    rows[2] = None
    place.put("b.parquet", table(6, seed=2).set_column(2, "vector", lists(rows)))
    config = place.config(reading={"bad_rows": "quarantine"})
    there = place.output_version()
    claim(there, describe(config.source, place.adaptor, config.output))
    compressor = ShardCompressor(config)
    for shard in place.shards():
        compressor.compress(WorkItem(shard, None, shard.size))
    description = describe(config.source, place.adaptor, config.output)
    files = map(OutputFile.of, place.records())
    add_sequence(there, Contents(description=description, files=files), keep=3)
    monkeypatch.setattr(verify, "connect", lambda *_: nullcontext())
    monkeypatch.setattr(tasks, "_results", _one_after_another)
    return place


def _one_after_another(config: VerifyConfig, function: Any, calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """What Ray's tasks would do, here; nothing opened before is used again."""
    for call in calls:
        open_context.cache_clear()
        yield function(config.model_dump_json(), *call)


def findings(place: Workplace) -> set[str]:
    """Checks that fail; {"refused"} when verify does not even begin."""
    try:
        status, summary = place.verify()
    except InputError:
        return {"refused"}
    assert (status == 1) == bool(summary["findings"])
    return {finding["check"] for finding in summary["findings"]}


def _files(place: Workplace) -> dict[str, Path]:
    """Everything that verify vouches for."""
    root = Path(place.output_version().uri)
    others = {
        "_verify",
        "last_number",
    }  # what verify wrote itself, and a number that only matters once manifests are lost
    kept = [path for path in sorted(root.rglob("*")) if path.is_file() and not others & {path.parent.name, path.name}]
    files = {str(path.relative_to(root)): path for path in kept}
    return files | {f"adaptor/{path.name}": path for path in (place.root / "adaptor").iterdir()}


def _flip(place: Workplace, flips: Sequence[tuple[Path, int]]) -> list[str]:
    """Flip one bit in each of these bytes, one after the other; the flips that nobody noticed."""
    unseen = []
    for path, offset in flips:
        sound = path.read_bytes()
        changed = bytearray(sound)
        changed[offset] ^= 1 << (offset * 5 + 3) % 8
        path.write_bytes(changed)
        if not findings(place):
            unseen.append(f"{path.name}, byte {offset}: {sound[offset]:#x} → {changed[offset]:#x}")
        path.write_bytes(sound)
    return unseen


def _all_flips(place: Workplace) -> list[tuple[Path, int]]:
    return [(path, offset) for path in _files(place).values() for offset in range(path.stat().st_size)]


def test_every_kind_of_file_is_vouched_for(output_version: Workplace) -> None:
    assert findings(output_version) == set()
    names = _files(output_version)
    folders = {"data", "_ledger", "_quarantine", DESCRIPTION, MANIFEST, "manifests", "adaptor"}
    assert {name.split("/")[0] for name in names} == folders
    assert len(names) == 2 + 2 + 1 + 1 + 2 + 4


def test_flipped_bits_are_found(output_version: Workplace) -> None:
    flips = random.Random(7).sample(_all_flips(output_version), _SAMPLED_FLIPS)  # noqa: S311 - which bytes are flipped
    assert _flip(output_version, flips) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_flipped_bit_in_any_byte_is_found(output_version: Workplace) -> None:
    flips = _all_flips(output_version)
    assert len(flips) > 5000
    assert _flip(output_version, flips) == []


def _reseal(place: Workplace) -> None:
    """Make all records agree with the outputs as they are now."""
    there = place.output_version()
    for name in list_names(there):
        record = read_record(there, name)
        content = there.read(record.output)
        sealed: dict[str, Any] = {"output_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        there.put(name.key, dataclasses.replace(record, **sealed).to_json())
    place.reseal_manifest()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["id", "vector", "payload", "price"], {"ids", "sample"}),
        (["vector"], {"sample"}),
        (["price"], {"sample"}),
        (["id"], {"ids", "sample"}),
    ],
)
def test_rows_that_changed_places_between_files(
    output_version: Workplace, columns: list[str], expected: set[str]
) -> None:
    left, right = (output_version.output_path(f"{name}.parquet") for name in "ab")
    one, other = (pq.ParquetFile(path).read() for path in (left, right))

    def with_row_of(foreign: pa.Table, mine: pa.Table, row: int, foreign_row: int) -> pa.Table:
        for place, name in enumerate(mine.column_names):
            if name in columns:
                column = mine[name].combine_chunks()
                new = foreign[name].combine_chunks().slice(foreign_row, 1)
                parts = pa.concat_arrays([column.slice(0, row), new, column.slice(row + 1)])
                mine = mine.set_column(place, mine.schema.field(place), parts)
        return mine

    pq.write_table(with_row_of(other, one, 0, 1), left)
    pq.write_table(with_row_of(one, other, 1, 0), right)
    _reseal(output_version)
    assert findings(output_version) == expected


def test_records_that_are_doubled_or_stand_under_another_name(output_version: Workplace) -> None:
    there = output_version.output_version()
    first, second = (name.key for name in list_names(there))
    sound = there.read(second)
    there.put(second, there.read(first))
    assert findings(output_version) == {"coverage", "files", "manifest"}
    there.put(second, sound)
    digest, kind, version, _ = first.removeprefix(LEDGER).split(".")
    there.put(f"{LEDGER}{digest[::-1]}.{kind}.{version}.json", there.read(first))
    assert findings(output_version) == {"coverage"}
