"""Which files are read, which are not, and what is said about these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.source import Source, open_source
from jobs.storage.open import open_objects
from tests.jobs.sources.parquet_files import table, write
from tests.jobs.sources.whole import read
from tests.s3_server import S3Server


@pytest.fixture
def cases(root: Path) -> Path:
    return root / "tests" / "data" / "cases"


def opened(folder: Path | str, **files: Any) -> Source:
    return open_source(SourceSection.model_validate({"uri": str(folder), "files": files}))


def keys(source: Source) -> list[str]:
    return [shard.key for shard in source.shards()]


def arrow(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table(1).schema) as writer:
        writer.write_table(table(1))


def test_files_are_known_by_their_bytes_where_the_name_says_nothing(cases: Path) -> None:
    source = opened(cases / "names_mixed")
    assert len(read(source, 100)["id"]) == 120
    assert source.notes() == []


def test_partitions_whose_names_begin_with_an_underscore_are_read(cases: Path) -> None:
    assert len(read(opened(cases / "underscore_partition"), 100)["id"]) == 50
    only = opened(cases / "underscore_partition", include=["_date=*"])
    assert len(read(only, 100)["id"]) == 40
    assert only.notes() == ["1 file is not read: 1 that no pattern of files.include takes (p.parquet)"]


def test_what_is_not_read_is_counted_and_named(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet", "_raw/x.parquet"):
        write(tmp_path / name, table(1))
    for name in ("_SUCCESS", ".a.crc", "x.csv", "README", "y.json"):
        (tmp_path / name).write_text("no Parquet")
    arrow(tmp_path / "data-00000")
    source = opened(tmp_path)
    assert keys(source) == ["a.parquet", "b.parquet"]
    assert source.notes() == [
        "7 files are not read: 1 of the kind Arrow IPC (data-00000), 1 of the kind CSV (x.csv), 1 of the kind JSON "
        "(y.json), 1 of the kind other (README), 3 with names that begin with '_' or '.' (.a.crc, _SUCCESS, "
        "_raw/x.parquet)"
    ]
    assert source.has("b.parquet")
    assert not source.has("_raw/x.parquet")
    assert not source.has("data-00000")
    assert not source.has("c.parquet")


def test_more_hidden_files_than_others_stop_the_command(tmp_path: Path) -> None:
    for name in ("a.parquet", "_temporary/0/b.parquet", "_temporary/0/c.parquet"):
        write(tmp_path / name, table(1))
    said = r"more Parquet files are hidden by their names \(2: _temporary/0/b\.parquet, .*\) than are read \(1\)"
    with pytest.raises(InputError, match=said):
        opened(tmp_path).shards()
    assert keys(opened(tmp_path, exclude=["_temporary"])) == ["a.parquet"]
    assert keys(opened(tmp_path, include=["*", "_temporary"])) == [
        "_temporary/0/b.parquet",
        "_temporary/0/c.parquet",
        "a.parquet",
    ]


def test_checksums_beside_the_files_are_no_parquet(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path / f"part-{part}.snappy.parquet", table(1))
        (tmp_path / f".part-{part}.snappy.parquet.crc").write_bytes(b"crc\0")
        (tmp_path / f"part-{part}.parquet.crc").write_bytes(b"crc\0")
        (tmp_path / f"_part-{part}.parquet.json").write_text("{}")
    source = opened(tmp_path)
    assert keys(source) == [f"part-{part}.snappy.parquet" for part in range(3)]
    assert "9 files are not read" in source.notes()[0]


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ({"include": ["x/*"]}, ["x/a.pq", "x/b.parquet"]),
        ({"include": ["x"]}, ["x/a.pq", "x/b.parquet"]),
        ({"include": ["*.pq"]}, ["x/a.pq"]),
        ({"exclude": ["x"]}, ["y.parquet"]),
        ({"exclude": ["*/b*"]}, ["x/a.pq", "y.parquet"]),
        ({"include": ["x"], "exclude": ["*.pq"]}, ["x/b.parquet"]),
    ],
)
def test_patterns(tmp_path: Path, files: dict[str, list[str]], taken: list[str]) -> None:
    for name in ("x/a.pq", "x/b.parquet", "y.parquet", "_h/c.pq"):
        write(tmp_path / name, table(1))
    source = opened(tmp_path, **files)
    assert keys(source) == taken
    assert f"{4 - len(taken)} file" in source.notes()[0]


def test_a_single_file_of_any_name(tmp_path: Path) -> None:
    write(tmp_path / "part-00003", table(3))
    write(tmp_path / "other.parquet", table(3))
    source = opened(tmp_path / "part-00003")
    assert (keys(source), source.notes()) == (["part-00003"], [])
    assert len(read(source)["id"]) == 3


def _listed(tmp_path: Path, content: str) -> Source:
    for name in ("a.parquet", "b.parquet", "_x/c.parquet"):
        if not (tmp_path / "s" / name).exists():
            write(tmp_path / "s" / name, table(1))
    (tmp_path / "list").write_text(content)
    return opened(tmp_path / "s", list_uri=str(tmp_path / "list"))


def test_explicit_lists(tmp_path: Path) -> None:
    place = tmp_path / "s"
    source = _listed(tmp_path, f"# live\n{place}/b.parquet\nfile://{place}/_x/c.parquet\n")
    assert keys(source) == ["_x/c.parquet", "b.parquet"]
    assert source.notes() == ["1 file is not read: 1 that files.list_uri does not name (a.parquet)"]
    size = (place / "b.parquet").stat().st_size
    entries = [{"url": f"{place}/b.parquet", "mandatory": True, "meta": {"content_length": size}}]
    assert keys(_listed(tmp_path, json.dumps({"entries": entries}))) == ["b.parquet"]
    assert keys(_listed(tmp_path, json.dumps({"added": ["a.parquet", "b.parquet"], "removed": ["a.parquet"]}))) == [
        "b.parquet"
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("z.parquet\n", r"names z\.parquet, which does not exist"),
        ("a.parquet\n./a.parquet\n", r"names \./a\.parquet twice: its rows would be doubled"),
        ("/elsewhere/a.parquet\n", r"names /elsewhere/a\.parquet, which is not below .*: set source\.uri"),
        ("", r"names no file"),
        ("{}", r"is no list of files \('entries'\)"),
        ("{", r"is no list of files"),
        ('{"entries": [{"url": "a.parquet", "meta": {"content_length": 3}}]}', r"says that a\.parquet has 3 bytes"),
    ],
)
def test_lists_that_cannot_be_right(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _listed(tmp_path, content).shards()


def test_a_listed_file_must_be_one(tmp_path: Path) -> None:
    source = _listed(tmp_path, "a.parquet\nx.csv\n")
    (tmp_path / "s" / "x.csv").write_text("a,b")
    with pytest.raises(InputError, match=r"x\.csv is listed, but no Parquet file"):
        source.shards()


TABLES = {
    "_delta_log/00000000000000000000.json": "is a Delta table .* set source.format: delta",
    "metadata/00001-x.metadata.json": "is an Iceberg table .* set source.format: iceberg",
    "_versions/1.manifest": "is a Lance dataset .* set source.format: lance",
    ".hoodie/hoodie.properties": r"is a Hudi table \(.*hoodie\.properties\), .*write its present rows as Parquet",
    "snapshot/snapshot-1": "is a Paimon table",
    "data-00000-of-00002.arrow": "is a dataset of Hugging Face's save_to_disk .*load_from_disk",
    "_committed_123": "is a Databricks folder of a transactional write .*source.files.list_uri",
}


@pytest.mark.parametrize("log", TABLES)
@pytest.mark.parametrize("below", ["", "year/"])
def test_the_folder_of_a_table_is_never_read_as_plain_files(tmp_path: Path, log: str, below: str) -> None:
    write(tmp_path / "a.parquet", table(1))
    (tmp_path / below / log).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / below / log).write_text("{}")
    with pytest.raises(InputError, match=TABLES[log]):
        opened(tmp_path).shards()
    assert keys(opened(tmp_path, table_log="ignore")) == ["a.parquet"]


@pytest.mark.parametrize("part", ["data", "year=2024", "year=2024/month=1"])
def test_nor_is_a_part_of_it(tmp_path: Path, part: str) -> None:
    write(tmp_path / part / "a.parquet", table(1))
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "00000000000000000000.json").write_text("{}")
    with pytest.raises(InputError, match=rf"/{part} is a Delta table .*set source.format: delta and uri: {tmp_path};"):
        opened(tmp_path / part).shards()
    assert keys(opened(tmp_path / part, table_log="ignore")) == ["a.parquet"]


def test_the_cases_are_tables(cases: Path) -> None:
    for case in ("delta_overwrite", "delta_update"):
        with pytest.raises(
            InputError, match=r"is a Delta table \(_delta_log/0{20}\.json\), not a folder of plain files"
        ):
            opened(cases / case).shards()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"a": 1}\n', "JSONL .*COPY"),
        ("x.csv", b"a,b\n", r"CSV .*COPY .*source\.vectors\.format: text"),
        ("x.orc", b"ORC\x00", "ORC .*write it as Parquet"),
        ("x.avro", b"Obj\x01", "Avro .*write it as Parquet"),
        ("x", b"Obj\x01", "Avro .*write it as Parquet"),
        ("x.npy", b"\x93NUMPY", "npy .*set format: npy"),
        ("x.fbin", b"\x00", "fbin .*set format: fbin"),
        ("x.h5", b"\x89HDF", "HDF5"),
        ("x.db", b"SQLite format 3\x00", "SQLite"),
        ("x.npz", b"PK\x03\x04", "zip or npz .*unpack it"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"holds no Parquet file \(1 file is not read: 1 of the kind {said}"):
        opened(tmp_path).shards()


def test_arrow_files_are_refused_by_name(tmp_path: Path) -> None:
    arrow(tmp_path / "x.feather")
    with pytest.raises(InputError, match=r"of the kind Arrow IPC .*write it as Parquet"):
        opened(tmp_path).shards()


def test_on_s3(bucket: str, s3: S3Server) -> None:
    section = {"uri": f"{bucket}/s", "filesystem": s3.options.model_dump()}
    objects = SourceSection.model_validate(section)
    store = open_objects(bucket, objects.filesystem)
    sink = pa.BufferOutputStream()
    pq.write_table(table(2), sink)
    for key in ("s/part-0", "s/_SUCCESS", "s/x.csv", "other/part-1.pq"):
        store.put(key, sink.getvalue().to_pybytes())
    store.put("list", f"{bucket}/s/part-0\n".encode())
    source = open_source(objects)
    assert keys(source) == ["part-0"]
    assert source.notes()[0].startswith("2 files are not read")
    single = open_source(SourceSection.model_validate({**section, "uri": f"{bucket}/other/part-1.pq"}))
    assert len(read(single)["id"]) == 2
    listed = open_source(SourceSection.model_validate({**section, "files": {"list_uri": f"{bucket}/list"}}))
    assert keys(listed) == ["part-0"]


def test_files_that_a_manifest_beside_them_does_not_name(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet", "sub/c.parquet"):
        write(tmp_path / name, table(1))
    manifest = tmp_path / "manifest"
    manifest.write_text(json.dumps({"entries": [{"url": f"{tmp_path}/a.parquet"}, {"url": f"{tmp_path}/b.parquet"}]}))
    assert keys(opened(tmp_path)) == ["a.parquet", "b.parquet", "sub/c.parquet"]
    manifest.write_text(json.dumps({"entries": [{"url": f"{tmp_path}/a.parquet"}]}))
    with pytest.raises(InputError, match=r"manifest does not name b\.parquet, which may be of an unfinished write"):
        opened(tmp_path).shards()
    assert keys(opened(tmp_path, list_uri=str(manifest))) == ["a.parquet"]
    assert len(keys(opened(tmp_path, table_log="ignore"))) == 3
    for other in (json.dumps({"entries": [{"url": "s3://elsewhere/a.parquet"}]}), "no list at all", "{}"):
        manifest.write_text(other)
        assert len(keys(opened(tmp_path))) == 3
