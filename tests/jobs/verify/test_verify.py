"""What verify sees: nothing wrong where nothing is, and every kind of damage under its own name."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.commits.ledger import list_names, read_record
from tests.jobs.compress.workplace import OUTPUT_DIM, Workplace, lists, table, vectors

pytestmark = pytest.mark.usefixtures("ray_cluster")

OUTPUT = "a.parquet"


def failed(workplace: Workplace, **sections: Any) -> set[str]:
    """Names of the checks that fail."""
    status, summary = workplace.verify(**sections)
    names = {check for check, state in summary["checks"].items() if state == "FAILED"}
    assert status == (1 if names else 0)
    assert summary["status"] == ("failed" if names else "complete")
    assert {finding["check"] for finding in summary["findings"]} == names
    return names


def file(workplace: Workplace, shard: str) -> Path:
    """The output of a shard."""
    data = Path(workplace.output_version().path("data"))
    return next(data.glob(f"{shard.removesuffix('.parquet')}.*.parquet"), data / "lost.parquet")


def reseal(workplace: Workplace, shard: str, **changed: Any) -> None:
    """Make record and manifest agree with the output as it is now, so that only its content can give it away."""
    there, content = workplace.output_version(), file(workplace, shard).read_bytes()
    name = next(name for name in list_names(there) if read_record(there, name).shard == shard)
    sealed = {"output_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changed}
    there.put(name.key, dataclasses.replace(read_record(there, name), **sealed).to_json())
    workplace.reseal_manifest()


def rewrite(workplace: Workplace, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace the content of an output, footer and record kept in step."""
    path = file(workplace, OUTPUT)
    old = pq.read_table(path)
    pq.write_table(change(old).replace_schema_metadata(old.schema.metadata), path)
    reseal(workplace, OUTPUT)


def with_vectors(change: Callable[[np.ndarray[Any, Any]], None]) -> Callable[[pa.Table], pa.Table]:
    """A change of the numbers only."""

    def changed(content: pa.Table) -> pa.Table:
        numbers = np.array(content["vector"].to_pylist(), np.float32)
        change(numbers)
        return content.set_column(2, content.schema.field("vector"), lists(numbers, pa.list_(pa.float32(), OUTPUT_DIM)))

    return changed


def test_payload_of_another_row_is_seen(workplace: Workplace) -> None:
    workplace.compress()
    rewrite(
        workplace, lambda t: t.set_column(3, t.schema.field("price"), t["price"].take(pa.array([1, 0, *range(2, 25)])))
    )
    assert failed(workplace) == {"sample"}
    assert failed(workplace, verification={"sample_rows": 0}) == set()  # only sampled rows are compared


@pytest.mark.parametrize("encoding", ["float32", "float16"])
def test_a_sound_output_version_passes(workplace: Workplace, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = {"encoding": encoding}
    assert workplace.compress(output=output) == 0
    assert failed(workplace, output=output) == set()
    printed = capsys.readouterr().out
    assert "all checks hold: 3 shards, 59 rows, 0 in quarantine" in printed
    assert printed.count("\nok ") == 11


def test_quarantined_rows_and_split_shards_pass(workplace: Workplace) -> None:
    content = table(45, seed=7)
    rows = vectors(45, 7).tolist()
    rows[0], rows[13], rows[14], rows[44] = None, None, [float("nan")] * 12, [0.0] * 12
    workplace.put("d.parquet", content.set_column(2, "vector", lists(rows)))
    assert workplace.compress(reading={"bad_rows": "quarantine", "split_bytes": 1}) == 0
    status, summary = workplace.verify(verification={"sample_rows": 1000})
    assert (status, summary["rows"], summary["rows_quarantined"]) == (0, 59 + 41, 4)


def test_damage_to_the_files_is_named(workplace: Workplace) -> None:
    workplace.compress()
    a, b = file(workplace, OUTPUT), file(workplace, "sub/b.parquet")
    sound = {path: path.read_bytes() for path in (a, b)}

    flipped = bytearray(sound[a])
    flipped[len(flipped) // 2] ^= 1
    a.write_bytes(flipped)
    assert failed(workplace) == {"bytes"}

    a.write_bytes(sound[b])
    b.write_bytes(sound[a])
    assert failed(workplace) == {"bytes", "stamps", "rows"}
    reseal(workplace, OUTPUT)
    reseal(workplace, "sub/b.parquet")
    assert {"stamps", "rows", "ids"} <= failed(workplace)

    b.write_bytes(sound[b])
    reseal(workplace, "sub/b.parquet")
    a.write_bytes(b"PAR1 not any more")
    assert failed(workplace) == {"bytes"}
    a.unlink()
    assert failed(workplace) == {"files"}


def test_records_and_outputs_must_match(workplace: Workplace) -> None:
    workplace.compress()
    there = workplace.output_version()
    name = next(n for n in list_names(there) if read_record(there, n).shard == OUTPUT)
    record = there.read(name.key)
    there.delete(name.key)
    assert failed(workplace) == {"coverage", "files", "manifest"}
    there.put(name.key, record[:40])
    assert failed(workplace) == {"coverage", "files", "manifest"}
    there.put(name.key, record)
    (file(workplace, OUTPUT).parent / "extra.parquet").write_bytes(b"")
    assert failed(workplace) == {"files"}


def test_rows_added_lost_or_renamed_show_without_help_of_the_checksum(workplace: Workplace) -> None:
    workplace.compress()
    sound, record = file(workplace, OUTPUT).read_bytes(), workplace.records()[0]
    changes: dict[str, Callable[[pa.Table], pa.Table]] = {
        "added": lambda t: pa.concat_tables([t, t.slice(3, 1)]),
        "lost": lambda t: t.slice(0, 24),
        "swapped": lambda t: pa.concat_tables([t.slice(1, 1), t.slice(0, 1), t.slice(2)]),
    }
    expected = {"added": {"rows", "ids", "unique"}, "lost": {"rows", "ids", "sample"}, "swapped": {"ids", "sample"}}
    for change, function in changes.items():
        rewrite(workplace, function)
        assert failed(workplace) == expected[change], change
        file(workplace, OUTPUT).write_bytes(sound)
        reseal(workplace, OUTPUT)
    reseal(workplace, OUTPUT, rows_in=record.rows_in + 1)
    assert failed(workplace) == {"rows"}


def test_wrong_numbers_and_types_show(workplace: Workplace) -> None:
    workplace.compress()
    sound = file(workplace, OUTPUT).read_bytes()

    def longer(numbers: np.ndarray[Any, Any]) -> None:
        numbers[3] *= 1.01

    def turned(numbers: np.ndarray[Any, Any]) -> None:
        numbers[3] = numbers[3][::-1].copy()

    def broken(numbers: np.ndarray[Any, Any]) -> None:
        numbers[3, 0] = np.inf

    for change, expected in ((longer, {"numbers", "sample"}), (turned, {"sample"}), (broken, {"numbers", "sample"})):
        rewrite(workplace, with_vectors(change))
        assert failed(workplace) == expected
        file(workplace, OUTPUT).write_bytes(sound)
        reseal(workplace, OUTPUT)
    rewrite(workplace, lambda t: t.set_column(2, "vector", t["vector"].cast(pa.list_(pa.float32()))))
    assert failed(workplace) == {"columns"}
    file(workplace, OUTPUT).write_bytes(sound)
    rewrite(workplace, lambda t: t.drop(["price"]))
    assert failed(workplace) == {"columns"}


def test_vectors_of_the_map_for_wider_outputs_show(workplace: Workplace) -> None:
    workplace.compress()
    wide = np.array(pq.read_table(workplace.source / "a.parquet")["vector"].to_pylist(), np.float64)

    def oracle(numbers: np.ndarray[Any, Any]) -> None:
        exact = workplace.exact(wide)
        numbers[:] = exact / np.linalg.norm(exact, axis=1, keepdims=True)

    def of_the_wrong_map(numbers: np.ndarray[Any, Any]) -> None:
        wrong = (wide @ workplace.adaptor.tensors["linear"].astype(np.float64))[:, :OUTPUT_DIM]
        numbers[:] = wrong / np.linalg.norm(wrong, axis=1, keepdims=True)

    rewrite(workplace, with_vectors(oracle))
    assert failed(workplace) == set()
    rewrite(workplace, with_vectors(of_the_wrong_map))
    assert failed(workplace) == {"sample"}


def test_a_quarantine_that_was_tampered_with_is_a_finding(workplace: Workplace) -> None:
    workplace.put("a.parquet", pa.table({"id": ["x", "y", "z"], "vector": lists([[1.0] * 12, None, [2.0] * 12])}))
    assert workplace.compress(reading={"bad_rows": "quarantine"}) == 0
    record = next(record for record in workplace.records() if record.shard == OUTPUT)
    assert record.quarantine is not None
    path = Path(workplace.output_version().path(record.quarantine))
    sound = pq.read_table(path)

    def changed(**columns: list[Any]) -> pa.Table:
        return pa.table({name: columns.get(name, sound[name]) for name in sound.column_names})

    for content in (
        changed(row_group=[99]),
        changed(row=[9]),
        changed(row=[-1]),
        changed(row=["x"]),
        changed(row_group=pa.array([None], pa.int64())),
        sound.drop_columns(["row"]),
        pa.concat_tables([sound, sound]),
    ):
        pq.write_table(content, path)
        assert failed(workplace) == {"bytes"}
        reseal(workplace, OUTPUT, quarantine_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        assert failed(workplace) == {"rows"}
    path.unlink()
    assert failed(workplace) == {"rows"}


def _with_column(change: Any, place: int, name: str, numbers: pa.Array, content: pa.Table) -> pa.Table:
    return change(content, place, name, numbers)


def test_a_footer_and_ids_that_nobody_can_read_are_findings(workplace: Workplace) -> None:
    assert workplace.compress() == 0
    path = file(workplace, OUTPUT)
    old = pq.read_table(path)
    pq.write_table(old.replace_schema_metadata({**(old.schema.metadata or {}), b"matryoshka.input_dim": b"\xff"}), path)
    reseal(workplace, OUTPUT)
    assert failed(workplace) == {"stamps"}
    sound = path.read_bytes()
    for column, change in (("id", pa.Table.set_column), ("id", pa.Table.add_column), ("vector", pa.Table.add_column)):
        path.write_bytes(sound)
        place = pq.read_schema(path).get_field_index(column)
        numbers = pa.array([[1]] * pq.read_metadata(path).num_rows)
        rewrite(workplace, partial(_with_column, change, place, column, numbers))
        assert "columns" in failed(workplace)


def test_output_of_another_adaptor_shows(workplace: Workplace) -> None:
    workplace.set_adaptor(seed=1)
    workplace.compress()
    foreign = file(workplace, OUTPUT).read_bytes()
    workplace.set_adaptor(seed=2)
    workplace.compress()
    file(workplace, OUTPUT).write_bytes(foreign)
    assert failed(workplace) == {"bytes", "stamps"}
    reseal(workplace, OUTPUT)
    assert failed(workplace) == {"stamps", "sample"}


def test_ids_that_the_store_has_twice_are_named(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.put("z.parquet", table(3, seed=3))
    workplace.compress()
    assert failed(workplace) == {"unique"}
    assert "3 ids occur more than once: 'row-3-0' (2 times)" in capsys.readouterr().out
    assert failed(workplace, verification={"unique_ids_up_to": 10}) == set()
    assert "not checked no id occurs twice (62 rows, verification.unique_ids_up_to is 10)" in capsys.readouterr().out


def test_without_an_output_version_there_is_nothing_to_verify(workplace: Workplace) -> None:
    with pytest.raises(InputError, match=r"holds no output version .* run compress first"):
        workplace.verify()
    workplace.compress()
    with pytest.raises(InputError, match=r"other settings: row_group_rows 16 \(now 99\)"):
        workplace.verify(output={"row_group_rows": 99})
