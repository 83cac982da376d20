"""npy and fbin files: matrices, with ids beside them or by row number."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources import row_groups
from jobs.sources.columns import describe_vectors
from jobs.sources.source import Source, open_source
from tests.jobs.sources.parquet_files import table, vectors
from tests.jobs.sources.whole import read

ROW_NUMBERS = {"kind": "row_number"}


def opened(folder: Path, kind: str = "npy", **section: Any) -> Source:
    return open_source(SourceSection(uri=str(folder), format=kind, **section))


def save(path: Path, matrix: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, matrix)
    return path


def fbin(path: Path, matrix: Any) -> Path:
    path.write_bytes(struct.pack("<II", *matrix.shape) + matrix.tobytes())
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", "i1", "u1"])
def test_npy_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr(row_groups, "GROUP_ROWS", 16)
    matrix = (vectors(40) * 20).astype(dtype)
    save(tmp_path / "a.npy", matrix)
    found = read(opened(tmp_path, ids=ROW_NUMBERS), 5)
    np.testing.assert_array_equal(np.array(found["vector"]), matrix)
    assert found["id"] == [f"a.npy:{row}" for row in range(40)]


def test_npy_with_parquet_beside_it(tmp_path: Path) -> None:
    for part in range(2):
        save(tmp_path / "img_emb" / f"img_emb_{part}.npy", vectors(10, seed=part).astype(np.float16))
        (tmp_path / "metadata").mkdir(exist_ok=True)
        beside = table(10, seed=part).drop_columns("vector")
        pq.write_table(beside, tmp_path / "metadata" / f"metadata_{part}.parquet", row_group_size=4)
    source = opened(tmp_path / "img_emb", metadata_uri=str(tmp_path / "metadata"), vector_column="emb")
    found = read(source)
    assert found["title"] == table(10)["title"].to_pylist() * 2
    both = np.concatenate([vectors(10, seed=part) for part in range(2)]).astype(np.float16)
    np.testing.assert_array_equal(np.array(found["emb"], np.float16), both)
    assert read(source, columns=["emb"]) == {"emb": found["emb"]}
    assert read(source, columns=["id"]) == {"id": found["id"]}
    shards = source.shards()
    file = tmp_path / "metadata" / "metadata_1.parquet"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    with pytest.raises(InputError, match=r"metadata_1.parquet changed while it was read"):
        source.check_unchanged(shards[1])
    assert opened(tmp_path / "img_emb", metadata_uri=str(tmp_path / "metadata")).shards()[0] == shards[0]


def test_npy_whose_metadata_does_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "v" / "a.npy", vectors(10))
    (tmp_path / "m").mkdir()
    pq.write_table(table(9).drop_columns("vector"), tmp_path / "m" / "a.parquet")
    source = opened(tmp_path / "v", metadata_uri=str(tmp_path / "m"))
    with pytest.raises(InputError, match=r"a\.npy has 10 rows, .*a\.parquet has 9: files pair in the order"):
        source.describe(source.shards()[0])
    pq.write_table(table(10), tmp_path / "m" / "a.parquet")
    source = opened(tmp_path / "v", metadata_uri=str(tmp_path / "m"))
    with pytest.raises(InputError, match=r"a\.parquet has a column 'vector', too"):
        source.describe(source.shards()[0])
    save(tmp_path / "v" / "b.npy", vectors(10))
    with pytest.raises(InputError, match=r"has 2 files, .* has 1: each needs one"):
        opened(tmp_path / "v", metadata_uri=str(tmp_path / "m")).shards()


def test_npy_without_ids_says_what_to_do(tmp_path: Path) -> None:
    save(tmp_path / "a.npy", vectors(3))
    source = opened(tmp_path)
    section = SourceSection(uri=str(tmp_path), format="npy")
    with pytest.raises(InputError, match=r"no column 'id'; it has 'vector': .*source.ids.kind: row_number"):
        describe_vectors(source, source.shards()[0], section)


@pytest.mark.parametrize(("ending", "dtype"), [("fbin", "<f4"), ("u8bin", "u1"), ("i8bin", "i1")])
def test_fbin(tmp_path: Path, ending: str, dtype: str) -> None:
    matrix = np.abs(vectors(12) * 20).astype(dtype)
    file = fbin(tmp_path / f"base.{ending}", matrix)
    for place in (tmp_path, file):
        found = read(opened(place, "fbin", ids=ROW_NUMBERS), 5)
        np.testing.assert_array_equal(np.array(found["vector"]), matrix)
        assert found["id"][11] == f"base.{ending}:11"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x93NUMPY\x01\x00\x10\x00garbage", "a.npy is a damaged npy file"),
        (b"no npy at all", "holds no npy file"),
    ],
)
def test_damaged_npy(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    source = opened(tmp_path, ids=ROW_NUMBERS)
    if "holds" in said:
        said = "a.npy is no npy file"
    with pytest.raises(InputError, match=said):
        source.describe(source.shards()[0])


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.zeros(3, np.float32), r"has the shape \(3,\)"),
        (np.asfortranarray(vectors(4)), "column after column"),
        (np.zeros((2, 0), np.float32), "has 2 rows of 0 numbers: vectors need at least one"),
        (np.zeros((2, 2), np.int64), "numbers of type int64: vectors must be"),
        (np.array([[{}]]), "numbers of type object: vectors must be"),
    ],
)
def test_npy_of_another_kind(tmp_path: Path, matrix: Any, said: str) -> None:
    save(tmp_path / "a.npy", matrix)
    source = opened(tmp_path, ids=ROW_NUMBERS)
    with pytest.raises(InputError, match=said):
        source.describe(source.shards()[0])


def test_truncated_matrices(tmp_path: Path) -> None:
    file = save(tmp_path / "a.npy", vectors(10))
    file.write_bytes(file.read_bytes()[:-1])
    source = opened(tmp_path, ids=ROW_NUMBERS)
    with pytest.raises(InputError, match=r"a.npy has 287 bytes, its header \(10 rows of 4 float32\) makes 288"):
        source.describe(source.shards()[0])
