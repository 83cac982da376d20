"""Points as Qdrant takes them: its real engine (qdrant-edge), ids, two vectors, payload."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.config.export import DestinationSection
from jobs.export.collection import Collection, describe_collection
from jobs.export.point_ids import NAMESPACE, point_ids, point_uuid
from jobs.export.rows import Rows
from tests.jobs.export.days import ADAPTOR, Day
from tests.jobs.export.engines import Engine, codec_queries, exact_distances, overlap
from tests.jobs.export.versions import PAYLOAD, VersionMaker, vectors

pytest.importorskip("qdrant_client")

pytestmark = pytest.mark.engines

here = pytest.mark.parametrize("engine", ["qdrant"], indirect=True)


def rows_with(ids: pa.Array) -> Rows:
    return Rows(pa.RecordBatch.from_arrays([ids], ["id"]), "id", "x", 0)


@given(st.lists(st.one_of(st.text(), st.uuids().map(str)), unique=True, max_size=50))
def test_texts_become_uuids_one_to_one(texts: list[str]) -> None:
    found = point_ids(rows_with(pa.array(texts, pa.string())))
    assert len(set(found)) == len(texts)
    assert [str(UUID(str(one))) for one in found] == found


def test_the_mapping_never_changes() -> None:
    assert point_uuid("doc-1") == str(uuid5(UUID("7b0d7f9c-6a1d-5f0e-9d8b-5a3f0c5b1e42"), "doc-1"))
    assert point_uuid("00000000-0000-0000-0000-00000000000a") == "00000000-0000-0000-0000-00000000000a"
    assert point_uuid("00000000-0000-0000-0000-00000000000A") == str(
        uuid5(NAMESPACE, "00000000-0000-0000-0000-00000000000A")
    )
    assert point_ids(rows_with(pa.array([0, 2**64 - 1], pa.uint64()))) == [0, 2**64 - 1]
    assert point_ids(rows_with(pa.array([-1, 7]))) == [str(uuid5(NAMESPACE, "-1")), 7]


@here
def test_payload_keeps_the_id_and_all_values(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types=PAYLOAD)
    day.maker.commit(day.first)
    day.export()
    with engine.client() as client:  # type: ignore[attr-defined]
        points, _ = client.scroll(name, limit=1000)
    for point in points:
        row = day.maker.rows[point.payload["id"]]
        assert point.id == point_uuid(point.payload["id"])
        assert point.payload["place"] == row["place"]
        assert Decimal(point.payload["price"]) == row["price"]
        assert point.payload.get("title") == row["title"]


@here
def test_two_columns_are_named_vectors_and_one_query_rescores(engine: Engine, name: str, tmp_path: Path) -> None:
    from qdrant_client import models

    day = Day(engine, name, tmp_path, "uint8", rescore="float32")
    day.maker.commit(day.first)
    day.export()
    queries = vectors(5, 42)
    better = day.maker.adaptor.codec(dim=16, encoding="float32")
    full = np.array([row["full"] for row in day.maker.rows.values()])
    scores = better.score(queries, better.encode(full))
    with engine.client() as client:  # type: ignore[attr-defined]
        for code, short, score in zip(
            codec_queries(day.maker, queries).astype(float), better.transform(queries), scores, strict=True
        ):
            first = models.Prefetch(query=code.tolist(), using="vector", limit=160)
            found = client.query_points(name, prefetch=first, query=short.tolist(), using="vector_rescore", limit=10)
            expected = np.array(list(day.maker.rows))[np.argsort(-score)[:10]]
            assert {point.payload["id"] for point in found.points} == set(expected)


@pytest.mark.parametrize("encoding", ["float32", "float16", "uint8"])
def test_the_real_engine_takes_our_points(encoding: str, tmp_path: Path) -> None:
    edge = pytest.importorskip("qdrant_edge")
    from jobs.export.targets.qdrant import Qdrant

    maker = VersionMaker(tmp_path, ADAPTOR, encoding, payload_types=PAYLOAD)
    maker.commit(Day.day(90, 70))
    collection = describe_collection("c", maker.description, maker.schema, None)
    points = Qdrant(DestinationSection(uri="http://unused"), collection, None).points(whole(maker, collection))
    (tmp_path / "edge").mkdir()
    distance = edge.Distance.Euclid if encoding == "uint8" else edge.Distance.Cosine
    config = edge.EdgeConfig(vectors={"": edge.EdgeVectorParams(size=32, distance=distance)})
    shard = edge.EdgeShard.create(str(tmp_path / "edge"), config)
    told = [
        edge.Point(one if isinstance(one, int) else UUID(one), [float(number) for number in vector], payload)
        for one, vector, payload in zip(
            points.ids, points.vectors, json.loads(json.dumps(points.payloads)), strict=True
        )
    ]
    shard.update(edge.UpdateOperation.upsert_points(told))
    queries = vectors(20, 99)
    found: list[list[str]] = []
    for query in codec_queries(maker, queries).astype(float):
        request = edge.QueryRequest(query=edge.Query.Nearest(query.tolist()), limit=10, with_payload=True)
        found.append([str(hit.payload["id"]) for hit in shard.query(request)])
    assert overlap(found, exact_distances(maker, queries), 10) >= 0.999


def whole(maker: VersionMaker, collection: Collection) -> Rows:
    """All rows of a version as one batch."""
    table = maker.table(maker.rows).select(collection.schema.names)
    (batch,) = table.cast(collection.schema).combine_chunks().to_batches()
    return Rows(batch, "id", "x", 0)
