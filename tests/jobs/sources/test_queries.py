"""Queries and judgments, and what is said about those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adaptor.errors import InputError
from jobs.config.sections import Location, QrelsSection, QueriesSection
from jobs.sources.queries import read_qrels, read_queries
from tests.jobs.sources.parquet_files import table, write
from tests.s3_server import S3Server


def _queries(path: Path, rows: dict[str, Any]) -> QueriesSection:
    kinds = {"vector": pa.list_(pa.float32())}
    write(path, pa.table({name: pa.array(values, kinds.get(name)) for name, values in rows.items()}))
    return QueriesSection(uri=str(path))


def _qrels(path: Path, **rows: Any) -> QrelsSection:
    columns = {"query_id": ["q1", "q2"], "doc_id": ["d1", "d2"], "grade": [1, 2]} | rows
    write(path, pa.table(columns))
    return QrelsSection(uri=str(path))


@pytest.mark.parametrize("ids", [["7", "8"], [7, 8], pa.array(["7", "8"]).dictionary_encode()])
def test_queries_have_text_ids(tmp_path: Path, ids: Any) -> None:
    queries = read_queries(_queries(tmp_path / "q.parquet", {"id": ids, "vector": [[1.0, 0.0], [0.0, 2.0]]}), 2)
    assert queries.ids == ["7", "8"]
    assert queries.vectors.dtype == np.float32
    assert queries.vectors.tolist() == [[1, 0], [0, 2]]


def test_what_lies_beside_the_file_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "far").symlink_to("a" * 300)  # whoever lists the folder meets an error
    assert read_queries(_queries(tmp_path / "q.parquet", {"id": ["7"], "vector": [[1.0]]}), 1).ids == ["7"]


def test_one_split_of_a_folder_of_files(tmp_path: Path) -> None:
    for part, split in ((0, "test"), (1, "train"), (2, "test")):
        rows = {"id": [f"{part}"], "vector": [[1.0, part]], "split": [split]}
        _queries(tmp_path / f"{part}.parquet", rows)
    section = QueriesSection(uri=str(tmp_path))
    assert read_queries(section, None).ids == ["0", "1", "2"]
    assert read_queries(section.model_copy(update={"split": "test"}), None).ids == ["0", "2"]
    with pytest.raises(InputError, match=r"no row with split 'dev'; it has 'test', 'train': set queries\.split"):
        read_queries(section.model_copy(update={"split": "dev"}), None)


def test_split_without_the_column(tmp_path: Path) -> None:
    section = _queries(tmp_path / "q.parquet", {"id": ["1"], "vector": [[1.0]]})
    with pytest.raises(InputError, match=r"q\.parquet: no column 'split'; it has 'id', 'vector'"):
        read_queries(section.model_copy(update={"split": "test"}), None)


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ([1.0, 1.0, 1.0], r"wrong length 3 \(expected 2\): queries must come from the same model as the source \(2"),
        (None, "null vector"),
        ([1.0, None], "null element"),
        ([float("nan"), 1.0], "NaN"),
        ([float("inf"), 1.0], "infinite"),
        ([0.0, 0.0], "zero vector"),
    ],
)
def test_unusable_query_vectors(tmp_path: Path, vector: Any, reason: str) -> None:
    section = _queries(tmp_path / "q.parquet", {"id": ["1", "2", "3"], "vector": [[1.0, 1.0], [1.0, 2.0], vector]})
    with pytest.raises(InputError, match=rf"q\.parquet, row 2: column 'vector': {reason}"):
        read_queries(section, 2)


def test_queries_of_another_dimension(tmp_path: Path) -> None:
    write(tmp_path / "q.parquet", table(3, dim=4))
    with pytest.raises(InputError, match=r"row 0: .*wrong length 4 \(expected 384\): queries must come from the same"):
        read_queries(QueriesSection(uri=str(tmp_path / "q.parquet")), 384)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"id": ["a", "a"]}, r"q\.parquet, row 1: query id 'a' occurs twice"),
        ({"id": ["a", None]}, r"q\.parquet, row 1: column 'id' is null"),
        ({"id": [0.5, 1.5]}, r"column 'id' is of type double: ids must be strings, integers or UUIDs"),
        (
            {"id": ["a", "b"], "vector": ["x", "y"]},
            r"column 'vector' is of type string: vectors must be a list, .* float16",
        ),
        ({"name": ["a", "b"]}, r"no column 'id'; it has 'name', 'vector': set queries\.id_column"),
    ],
)
def test_unusable_query_tables(tmp_path: Path, rows: dict[str, Any], message: str) -> None:
    columns = {"vector": pa.array([[1.0], [2.0]]), **rows}
    write(tmp_path / "q.parquet", pa.table({name: columns[name] for name in [*rows, "vector"]}))
    with pytest.raises(InputError, match=message):
        read_queries(QueriesSection(uri=str(tmp_path / "q.parquet")), None)


def test_no_queries_at_all(tmp_path: Path) -> None:
    write(tmp_path / "q.parquet", table(0))
    with pytest.raises(InputError, match=r"q\.parquet holds no rows: check queries\.uri"):
        read_queries(QueriesSection(uri=str(tmp_path / "q.parquet")), None)
    with pytest.raises(InputError, match=r"absent\.parquet does not exist .*check queries\.uri"):
        read_queries(QueriesSection(uri=str(tmp_path / "absent.parquet")), None)


def test_qrels(tmp_path: Path) -> None:
    section = _qrels(tmp_path / "r.parquet", query_id=[1, 1], doc_id=["a", "b"], grade=pa.array([1.0, 0.0]))
    assert read_qrels(section) == {"1": {"a": 1, "b": 0}}


def test_qrels_said_twice(tmp_path: Path) -> None:
    same = {"query_id": ["q", "q"], "doc_id": ["d", "d"]}
    assert read_qrels(_qrels(tmp_path / "r.parquet", **same, grade=[1, 1])) == {"q": {"d": 1}}
    with pytest.raises(InputError, match=r"row 1: query 'q' and document 'd' have grade 1 and grade 2"):
        read_qrels(_qrels(tmp_path / "r.parquet", **same, grade=[1, 2]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"grade": [1, None]}, r"r\.parquet, row 1: column 'grade' is null"),
        ({"grade": [1.0, 0.5]}, r"r\.parquet: column 'grade' must hold integer grades"),
        ({"grade": ["x", "y"]}, r"r\.parquet: column 'grade' must hold integer grades"),
        ({"doc_id": ["d", None]}, r"r\.parquet, row 1: column 'doc_id' is null"),
        ({"query_id": [[1], [2]]}, r"column 'query_id' is of type list<.*>: ids must be strings, integers or UUIDs"),
    ],
)
def test_unusable_qrels(tmp_path: Path, rows: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_qrels(_qrels(tmp_path / "r.parquet", **rows))


def test_qrels_without_a_column(tmp_path: Path) -> None:
    section = _qrels(tmp_path / "r.parquet").model_copy(update={"grade_column": "score"})
    with pytest.raises(InputError, match=r"no column 'score'; it has .*: set qrels\.grade_column"):
        read_qrels(section)


def test_a_single_file_on_s3(bucket: str, s3: S3Server, tmp_path: Path) -> None:
    from jobs.storage.open import open_objects

    objects = open_objects(bucket, s3.options)
    objects.put_file("sets/queries.parquet", write(tmp_path / "q.parquet", table(3)))
    objects.put_file("sets/other.parquet", write(tmp_path / "o.parquet", table(3)))
    section = QueriesSection(uri=f"{bucket}/sets/queries.parquet")
    section.reach_as(Location(uri=bucket, filesystem=s3.options))
    assert read_queries(section, 4).ids == ["row-0", "row-1", "row-2"]
