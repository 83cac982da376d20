"""What a LanceDB table holds after an export: every column as it was, and indexes that take in what comes later."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.export.collection import describe_collection
from tests.jobs.export.days import Day
from tests.jobs.export.engines import Engine, codec_queries
from tests.jobs.export.versions import PAYLOAD, rows_of

pytest.importorskip("lancedb")

pytestmark = pytest.mark.engines

here = pytest.mark.parametrize("engine", ["lancedb"], indirect=True)


@here
def test_every_column_comes_back_as_it_was(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types=PAYLOAD)
    day.maker.commit(day.first)
    day.export()
    day.maker.commit(day.second())
    day.export()
    found = engine.table(name).to_arrow().sort_by("id")  # type: ignore[attr-defined]
    expected = day.maker.table(day.maker.rows).sort_by("id").select(found.schema.names)
    for column in found.schema.names:
        assert found.schema.field(column).type == expected.schema.field(column).type
        assert found[column].combine_chunks().equals(expected[column].combine_chunks()) or column == "score", column


@here
def test_only_wanted_payload_goes_along(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types=PAYLOAD)
    day.maker.commit(day.first)
    day.export(destination={"payload": ["title"]})
    assert engine.table(name).schema.names == ["id", "vector", "title"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="the collection holds an export with other columns"):
        day.export()


@here
@pytest.mark.parametrize(
    ("encoding", "index"), [("float32", "ivf_flat"), ("binary", "ivf_flat"), ("float16", "ivf_hnsw_sq")]
)
def test_an_index_is_made_and_takes_in_what_comes_later(
    engine: Engine, encoding: str, index: str, name: str, tmp_path: Path
) -> None:
    day = Day(engine, name, tmp_path, encoding)
    day.maker.commit({"a.parquet": rows_of(600, 1)})
    day.export(destination={"index": index})
    day.maker.commit({"a.parquet": day.maker.shards["a.parquet"], "b.parquet": rows_of(50, 2, "new")})
    day.export(destination={"index": index})
    table = engine.table(name)  # type: ignore[attr-defined]
    (made,) = table.list_indices()
    stats = table.index_stats(made.name)
    assert (stats.num_indexed_rows, stats.num_unindexed_rows) == (650, 0)
    metric = "hamming" if encoding == "binary" else "cosine"
    full = next(iter(day.maker.shards["b.parquet"].values()))["full"]
    (query,) = codec_queries(day.maker, full[None])
    nearest = table.search(query, vector_column_name="vector").distance_type(metric).nprobes(50).limit(3).to_list()
    assert "new-0" in {row["id"] for row in nearest}


def test_bits_have_one_index_and_the_cloud_is_none_of_ours() -> None:
    from jobs.export.targets.lancedb import LanceDB

    described = {"adaptor_id": "", "metric": "cosine", "encoding": "binary", "dim": 32, "rescore": None}
    described |= {"id_column": "id", "vector_column": "vector"}
    collection = describe_collection("c", described, pa.schema([("id", pa.string()), ("vector", pa.binary(4))]), None)
    with pytest.raises(InputError, match="LanceDB indexes bits with ivf_flat only"):
        LanceDB(DestinationSection(uri="x", index="ivf_pq"), collection, None)
    with pytest.raises(InputError, match=r"LanceDB Cloud \(db://\) is not a target"):
        LanceDB(DestinationSection(uri="db://x"), collection, None)


@here
def test_ids_with_quotes_are_deleted(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    rows = {odd: row for odd, row in zip(["it's", 'a "b"', "`", "%_", "\\'"], rows_of(5, 1).values(), strict=True)}
    day.maker.commit({"a.parquet": rows_of(20, 2) | rows})
    day.export()
    day.maker.commit({"a.parquet": rows_of(20, 2)})
    day.export()
    assert sorted(engine.held(name, day.maker)) == sorted(rows_of(20, 2))
