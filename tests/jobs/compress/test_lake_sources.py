"""Compress and verify over tables and files as people have them: the right rows once, and a word about the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from tests.jobs.compress.workplace import DIM, OUTPUT_DIM, Workplace, lists, table, vectors

pytestmark = pytest.mark.usefixtures("ray_cluster")


def outputs(place: Workplace, **sections: Any) -> pa.Table:
    """All that is in the output version."""
    folder = place.output_version(**sections)
    files = [folder.path(info.key) for info in folder.list("data/")]
    return pa.concat_tables([pq.read_table(file, partitioning=None) for file in files], promote_options="permissive")


def check(place: Workplace, found: pa.Table, expected: dict[str, Any], column: str = "vector") -> None:
    """Each id once, with the short form of its own vector."""
    assert sorted(found["id"].to_pylist()) == sorted(expected)
    for name, short in zip(found["id"].to_pylist(), found[column].to_pylist(), strict=True):
        exact = place.exact([expected[name]])[0]
        np.testing.assert_allclose(short, exact / np.linalg.norm(exact), atol=1e-5)


def rows(first: int, stop: int) -> dict[str, Any]:
    content = vectors(stop - first, seed=first)
    return {f"r{row}": content[row - first] for row in range(first, stop)}


def as_table(content: dict[str, Any]) -> pa.Table:
    return pa.table({"id": list(content), "vector": lists(content.values())})


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """An empty source beside an adaptor."""
    place = Workplace(tmp_path)
    place.source.mkdir()
    return place


def test_a_delta_table_night_by_night(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    deltalake.write_deltalake(str(place.source), as_table(rows(0, 20)))
    deltalake.write_deltalake(str(place.source), as_table(rows(20, 30)), mode="append")
    with pytest.raises(InputError, match=r"is a Delta table .*set source\.format: delta"):
        place.compress()
    section: dict[str, Any] = {"source": {"format": "delta"}}
    assert place.compress(**section) == 0
    assert "version 1 of the Delta table is read: 2 live files" in capsys.readouterr().out
    check(place, outputs(place), rows(0, 20) | rows(20, 30))
    status, summary = place.verify(**section)
    assert (status, summary["rows"], summary["source_snapshot"]) == (0, 30, "1")
    capsys.readouterr()

    deltalake.DeltaTable(str(place.source)).delete("id = 'r3'")
    deltalake.write_deltalake(str(place.source), as_table(rows(40, 45)), mode="append")
    assert place.verify(**section)[0] == 1  # the output is behind the table
    assert place.compress(**section) == 0
    live = rows(0, 20) | rows(20, 30) | rows(40, 45)
    del live["r3"]
    check(place, outputs(place), live)
    summary = json.loads(place.output_version().read("summary.json"))
    assert (summary["source_snapshot"], summary["work_items_done_before"]) == ("3", 1)  # the file that did not change
    assert place.verify(**section)[0] == 0
    assert json.loads(place.output_version().read("config.json"))["source"]["snapshot"] is None  # the next run: newer


def test_files_of_any_name_and_what_is_left_out(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("a.parquet", "b.PQ", "part-00003", "_date=1/c.parquet")):
        place.put(name, table(4, number + 1))
    (place.source / "x.csv").write_text("id,vector")
    assert place.compress() == 0
    note = "1 file is not read: 1 of the kind CSV (x.csv)"
    assert note in capsys.readouterr().out
    assert len(outputs(place)) == 16
    status, summary = place.verify()
    assert (status, summary["rows"], summary["notes"]) == (0, 16, [note])
    assert f"note: {note}" in capsys.readouterr().out


def test_ids_of_two_types_end_the_job_with_both_names(place: Workplace) -> None:
    place.put("a.parquet", as_table(rows(0, 4)))
    place.put("b.parquet", as_table(rows(0, 4)).set_column(0, "id", pa.array([1, 2, 3, 4])))
    with pytest.raises(InputError, match=r"b\.parquet: column 'id' is of type int64, in a\.parquet it is string"):
        place.compress()
    section: dict[str, Any] = {"source": {"ids": {"mixed": "text"}}}
    assert place.compress(**section) == 0
    assert sorted(outputs(place)["id"].to_pylist()) == ["1", "2", "3", "4", "r0", "r1", "r2", "r3"]
    assert place.verify(**section)[0] == 0
    with pytest.raises(InputError, match=r"was written with other settings: columns"):
        place.compress(source={"ids": {"mixed": "keep"}})


def test_vectors_in_structs_texts_and_bytes(place: Workplace) -> None:
    content = rows(0, 12)
    inner = pa.array([{"values": row.tolist(), "model": "m"} for row in content.values()])
    texts = ["[" + ",".join(map(repr, row.tolist())) + "]" for row in content.values()]
    texts[5] = "[1,2"
    place.put("a.parquet", pa.table({"id": list(content), "e": inner, "t": texts, "other": ["x"] * 12}))
    section: dict[str, Any] = {
        "source": {"vector_column": "e.values", "payload_columns": ["e"]},
        "output": {"uri": str(place.root / "structs")},
    }
    assert place.compress(**section) == 0
    found = outputs(place, **section)
    assert found.column_names == ["id", "e", "e.values"]
    check(place, found, content, "e.values")
    assert found["e"].to_pylist() == [{"model": "m"}] * 12
    assert place.verify(**section)[0] == 0

    reading = {"bad_rows": "quarantine"}
    section = {
        "source": {"vector_column": "t", "vectors": {"format": "text"}},
        "output": {"uri": str(place.root / "texts")},
    }
    assert place.compress(reading=reading, **section) == 0
    check(place, outputs(place, **section), {name: row for name, row in content.items() if name != "r5"}, "t")
    (record,) = place.records(**section)
    rejected = pq.read_table(place.output_version(**section).path(str(record.quarantine)))
    assert rejected["t"].to_pylist() == ["[1,2"]  # as it was
    assert rejected["reason"].to_pylist() == ["no list of numbers: '[1,2'"]
    assert place.verify(**section)[0] == 0


def test_matrices_with_row_numbers(place: Workplace) -> None:
    content = vectors(30, seed=4)
    np.save(place.source / "a.npy", content)
    section: dict[str, Any] = {"source": {"format": "npy", "ids": {"kind": "row_number"}}}
    assert place.compress(**section) == 0
    check(place, outputs(place), {f"a.npy:{row}": content[row] for row in range(30)})
    assert outputs(place).schema.field("vector").type == pa.list_(pa.float32(), OUTPUT_DIM)
    assert place.verify(**section)[0] == 0
    assert content.shape[1] == DIM


def test_a_lance_dataset(place: Workplace) -> None:
    lance = pytest.importorskip("lance", reason="the extra `lance` is not installed")
    dataset = lance.write_dataset(as_table(rows(0, 30)), place.source, max_rows_per_file=12, mode="overwrite")
    dataset.delete("id in ('r0', 'r29')")
    section: dict[str, Any] = {"source": {"format": "lance"}}
    assert place.compress(**section) == 0
    live = rows(0, 30)
    del live["r0"], live["r29"]
    check(place, outputs(place), live)
    assert place.verify(**section)[0] == 0
