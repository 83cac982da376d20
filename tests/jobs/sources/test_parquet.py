"""Which files are shards, and what is said about files that cannot be one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors
from jobs.sources.source import ShardInfo, Source, open_source
from tests.jobs.sources.parquet_files import table, write


def _source(folder: Path) -> Source:
    return open_source(SourceSection(uri=str(folder)))


def _described(folder: Path, **section: Any) -> ShardInfo:
    source = _source(folder)
    return describe_vectors(source, source.shards()[0], SourceSection(uri=str(folder), **section))


def _message(folder: Path, **section: Any) -> str:
    with pytest.raises(InputError) as caught:
        _described(folder, **section)
    return str(caught.value)


def test_columns_of_one_name_are_refused_where_they_matter(tmp_path: Path) -> None:
    content = table(3)
    write(tmp_path / "a.parquet", content.append_column("title", content["id"]))
    assert _described(tmp_path).rows == 3
    for name in ("id", "vector"):
        write(tmp_path / "a.parquet", content.append_column(name, content["title"]))
        assert _message(tmp_path).endswith(f"a.parquet: 2 columns are named '{name}': rename all but one")


def test_shards_are_the_parquet_files_in_order(tmp_path: Path) -> None:
    for name in ("b.parquet", "a/2.parquet", "a/1.parquet", "_ledger/x.parquet", ".hidden/x.parquet", "a/_x.parquet"):
        write(tmp_path / name, table(1))
    (tmp_path / "notes.txt").write_text("no shard")
    assert [shard.key for shard in _source(tmp_path).shards()] == ["a/1.parquet", "a/2.parquet", "b.parquet"]


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "zürich.parquet", table(1))
    for name in ("b\udcff.txt", "b\udcff.parquet"):
        assert [shard.key for shard in _source(tmp_path).shards()] == ["zürich.parquet"]
        (tmp_path / name).write_bytes((tmp_path / "zürich.parquet").read_bytes())
    with pytest.raises(InputError, match=r"the file name b'b\\xff\.parquet' is not UTF-8: rename the file") as caught:
        _source(tmp_path).shards()
    assert str(caught.value).isascii()


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_missing_and_empty_sources(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"/{folder} does not exist or holds no Parquet file .*check source\.uri"):
        _source(tmp_path / folder).shards()


def test_what_a_footer_says(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(10), row_group_size=4)
    info = _described(tmp_path)
    assert info.rows == 10
    assert info.row_group_rows == (4, 4, 2)
    assert len(info.row_group_bytes) == 3
    assert info.schema.field("vector").type == pa.list_(pa.float32(), 4)


def test_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("id,vector\n1,2\n" * 10)
    assert "a.parquet is not a Parquet file (it begins with b'id,v')" in _message(tmp_path)


@pytest.mark.parametrize("size", [4, 9, 100, -4])
def test_truncated(tmp_path: Path, size: int) -> None:
    file = write(tmp_path / "a.parquet", table(100))
    file.write_bytes(file.read_bytes()[:size])
    assert f"a.parquet is truncated ({file.stat().st_size} bytes, the Parquet footer is missing)" in _message(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").touch()
    assert "a.parquet is empty (0 bytes)" in _message(tmp_path)


def test_damaged_footer(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", table(100))
    content = bytearray(file.read_bytes())
    content[-200:-8] = b"\xff" * 192
    file.write_bytes(content)
    assert "a.parquet is a damaged Parquet file" in _message(tmp_path)


def test_encrypted(tmp_path: Path) -> None:
    class NoService(pe.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            return key_bytes

        def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
            return wrapped_key

    factory = pe.CryptoFactory(lambda configuration: NoService())
    encryption = pe.EncryptionConfiguration(footer_key="k", column_keys={"c": ["id"]}, double_wrapping=False)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), encryption)
    with pq.ParquetWriter(tmp_path / "a.parquet", table(1).schema, encryption_properties=properties) as writer:
        writer.write_table(table(1))
    assert "a.parquet is an encrypted Parquet file" in _message(tmp_path)


def test_missing_columns_are_named_near_ones_first(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(1))
    said = _message(tmp_path, vector_column="vectors")
    assert said.endswith(
        "a.parquet: no column 'vectors'; it has 'vector', 'id', 'title': set source.vector_column, or leave the file "
        "out with source.files.exclude"
    )
    said = _message(tmp_path, id_column="doc_id")
    assert said.endswith(
        "no column 'doc_id'; it has 'id', 'vector', 'title': set source.id_column, or source.ids.kind: row_number"
    )


@pytest.mark.parametrize(
    "column",
    [pa.array(["text"]), pa.array([1.0]), pa.array([[1, 2]]), pa.array([[[1.0]]]), pa.array([None]), pa.array([["x"]])],
)
def test_vector_column_of_another_type(tmp_path: Path, column: pa.Array) -> None:
    write(tmp_path / "a.parquet", pa.table({"id": ["x"], "vector": column}))
    said = _message(tmp_path)
    assert "a.parquet: column 'vector' is of type " in said
    assert "vectors must be a list, large_list or fixed_size_list of float16, float32, float64, int8 or uint8" in said


def test_id_column_of_another_type(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(1).set_column(0, "id", pa.array([1.5])))
    assert "column 'id' is of type double: ids must be strings, integers or UUIDs" in _message(tmp_path)


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint8(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_id_types_that_are_fine(tmp_path: Path, kind: pa.DataType) -> None:
    write(tmp_path / "a.parquet", table(1).set_column(0, "id", pa.array(["7"]).cast(pa.string()).cast(kind)))
    assert _described(tmp_path).rows == 1


def test_a_shard_that_changes_while_it_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", table(10))
    source = _source(tmp_path)
    (shard,) = source.shards()
    source.check_unchanged(shard)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    with pytest.raises(
        InputError, match=r"a\.parquet changed while it was read \(size .* version .*\): run the command"
    ):
        source.check_unchanged(shard)
    file.unlink()
    with pytest.raises(InputError, match=r"a\.parquet was removed while it was read"):
        source.check_unchanged(shard)
    with pytest.raises(InputError, match=r"a\.parquet does not exist any more"):
        source.describe(shard)
