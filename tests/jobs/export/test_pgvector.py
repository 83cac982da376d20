"""What PostgreSQL holds after binary COPY, bit for bit; the search statement; what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptor.errors import InputError, RunError
from adaptor.rows import Floats
from jobs.export.collection import describe_collection
from jobs.export.pgcopy import SIGNATURE, TRAILER, column_fields, rows_of, sql_type_of, vector_fields
from jobs.export.targets.pgvector import search_statement
from tests.jobs.export.days import Day
from tests.jobs.export.engines import PostgresEngine, as_literal
from tests.jobs.export.versions import PAYLOAD, plain_array, vectors
from tests.jobs.export.versions import rows_of as version_rows

pytest.importorskip("psycopg")

pytestmark = pytest.mark.engines


@pytest.fixture
def day(request: pytest.FixtureRequest, postgres: str, name: str, tmp_path: Path) -> Day:
    """A version of the encoding that a test names."""
    return Day(PostgresEngine(postgres), name, tmp_path, getattr(request, "param", "float32"), payload_types=PAYLOAD)


def rows(day: Day, statement: str, parameters: Any = None) -> list[Any]:
    """What a statement gives; {} in it is the table."""
    return PostgresEngine(day.engine.uri).rows(statement.replace("{}", day.name), parameters)


def test_payload_comes_back_as_it_was(day: Day) -> None:
    day.maker.commit(day.first)
    day.export()
    found = {row[0]: row[1:] for row in rows(day, "select id, * from {}".replace("*", ", ".join(PAYLOAD)))}
    assert len(found) == 160
    for name, row in day.maker.rows.items():
        for column, value in zip(PAYLOAD, found[name], strict=True):
            expected = row[column]
            if isinstance(expected, float) and np.isnan(expected):
                assert np.isnan(value)
            else:
                assert value == expected, (name, column)


VALUES = {
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "uint16": (pa.uint16(), st.integers(0, 2**16 - 1)),
    "uint32": (pa.uint32(), st.integers(0, 2**32 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats()),
    "string": (pa.string(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    "binary": (pa.binary(), st.binary()),
    "decimal": (pa.decimal128(30, 7), st.decimals(-(10**22), 10**22, places=7)),
    "whole": (pa.decimal128(38, 0), st.integers(-(10**37), 10**37).map(Decimal)),
    "date": (pa.date32(), st.dates()),
    "time": (pa.time64("us"), st.times()),
    "timestamp": (pa.timestamp("us"), st.datetimes()),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    ),
    "uuid": (pa.uuid(), st.uuids()),
    "list": (pa.list_(pa.int32()), st.lists(st.one_of(st.none(), st.integers(-5, 5)))),
    "struct": (pa.struct([("a", pa.string())]), st.fixed_dictionaries({"a": st.sampled_from(["", 'x"', "ü\\"])})),
}


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_value_survives_binary_copy(kind: str, postgres: str, data: st.DataObject) -> None:
    import psycopg

    arrow_type, values = VALUES[kind]
    given_values = data.draw(st.lists(st.one_of(st.none(), values), min_size=1, max_size=20))
    sql_type = sql_type_of(arrow_type)
    assert sql_type is not None
    fields = column_fields(plain_array(given_values, arrow_type), sql_type)
    content = SIGNATURE + rows_of([column_fields(pa.array(range(len(fields))), "bigint"), fields]) + TRAILER
    with psycopg.connect(postgres) as connection:
        connection.execute("set time zone 'UTC'")
        connection.execute(f"create temporary table given (n bigint, value {sql_type})")
        with connection.cursor().copy("copy given from stdin (format binary)") as copy:
            copy.write(content)
        found = [value for (value,) in connection.execute("select value from given order by n", binary=True)]
    assert [plain(value) for value in found] == [plain(value) for value in given_values]


def plain(value: Any) -> Any:
    """NaN equals itself; -0.0 is not 0.0."""
    return repr(value) if isinstance(value, float) else value


@pytest.mark.parametrize("sql_type", ["vector", "halfvec", "bit"])
def test_vectors_are_the_same_bits(sql_type: str, postgres: str) -> None:
    import psycopg

    full = vectors(7, 5)
    codes: Any = {"vector": full, "halfvec": full.astype(np.float16), "bit": np.packbits(full > 0, axis=1)}[sql_type]
    with psycopg.connect(postgres) as connection:
        connection.execute("create extension if not exists vector")
        connection.execute(f"create temporary table given (value {sql_type}({full.shape[1]}))")
        with connection.cursor().copy("copy given from stdin (format binary)") as copy:
            copy.write(SIGNATURE + rows_of([vector_fields(codes, sql_type)]) + TRAILER)
        found = [text for (text,) in connection.execute("select value::text from given")]
        # the server makes the same bits of floats: the first number is the highest bit
        signs = connection.execute(
            "select binary_quantize(value::vector)::text from unnest(%s::text[]) as value",
            [[as_literal(row) for row in full]],
        ).fetchall()
    if sql_type == "bit":
        assert found == [text for (text,) in signs] == [as_literal(row) for row in codes]
    else:
        np.testing.assert_array_equal(np.array([json.loads(text) for text in found], codes.dtype), codes)


@pytest.mark.parametrize(("first", "second"), [("binary", "float16"), ("binary", "float32"), ("float16", "float32")])
def test_one_statement_searches_bits_and_rescores(first: str, second: str, postgres: str, tmp_path: Path) -> None:
    day = Day(PostgresEngine(postgres), f"rescored_{first}_{second}", tmp_path, first, rescore=second)
    day.maker.commit({"a.parquet": version_rows(400, 1, rich=False)})
    day.export(destination={"index": "none"})
    collection = describe_collection(day.name, day.maker.description, day.maker.schema, None)
    queries = vectors(15, 98)
    adaptor = day.maker.adaptor
    codecs = [adaptor.codec(dim=dim, encoding=encoding) for _, dim, encoding in day.maker.vector_columns]
    asked = codecs[0].encode(queries) if first == "binary" else codecs[0].transform(queries)
    for query, better, names in zip(
        asked, codecs[1].transform(queries), expected_rescored(day, queries, 40), strict=True
    ):
        parameters = {
            "query": as_literal(query),
            "rescore_query": as_literal(better),
            "candidates": 40,
            "limit": 10,
        }
        found = [row for (row,) in rows(day, search_statement(collection), parameters)]
        # among candidates at the last distance either may be taken
        assert len(set(found) & names["certain"]) >= len(names["certain"])
        assert set(found) <= names["possible"]


def expected_rescored(day: Day, queries: Floats, candidates: int) -> list[dict[str, set[str]]]:
    """By numpy: the ids that must be among the ten, whatever is done with ties, and those that may be."""
    full = np.array([row["full"] for row in day.maker.rows.values()])
    names = np.array(list(day.maker.rows))
    (_, dim, encoding), (_, second_dim, second_encoding) = day.maker.vector_columns
    codec = day.maker.adaptor.codec(dim=dim, encoding=encoding)
    better = day.maker.adaptor.codec(dim=second_dim, encoding=second_encoding)
    if encoding == "binary":
        bits = np.unpackbits(codec.encode(full), axis=1)
        distances = (np.unpackbits(codec.encode(queries), axis=1)[:, None] != bits[None]).sum(axis=2)
    else:
        distances = -codec.score(queries, codec.encode(full))
    scores = better.score(queries, better.encode(full))
    told = []
    for distance, score in zip(distances, scores, strict=True):
        limit = np.sort(distance)[candidates - 1]
        inside, maybe = distance < limit, distance <= limit
        best = [set(names[mask][np.argsort(-score[mask])[:10]]) for mask in (inside, maybe)]
        told.append({"certain": best[0] & best[1], "possible": set(names[maybe])})
    return told


def test_the_hnsw_index_is_used_and_finds(day: Day) -> None:
    day.maker.commit({"a.parquet": version_rows(2000, 1)})
    day.export(destination={"index": "hnsw"})
    collection = describe_collection(day.name, day.maker.description, day.maker.schema, None)
    query = as_literal(day.maker.adaptor.codec(dim=day.maker.dim, encoding="float32").transform(vectors(1, 7))[0])
    import psycopg

    with psycopg.connect(day.engine.uri) as connection:
        connection.execute("set enable_seqscan = off")
        found = connection.execute(f"explain {search_statement(collection)}", {"query": query, "limit": 10})
        plan = "\n".join(row for (row,) in found)
    assert f"Index Scan using {day.name}_hnsw" in plan
    day.maker.commit({"a.parquet": dict(list(day.maker.rows.items())[5:])})
    day.export(destination={"index": "hnsw"})
    assert rows(day, "select count(*) from {}") == [(1995,)]


@pytest.mark.parametrize(("column", "value"), [("title", "a\0b"), ("place", {"name": "a\0b", "spot": None})])
def test_a_text_that_postgres_cannot_hold_is_refused_with_its_row(day: Day, column: str, value: Any) -> None:
    day.first["b.parquet"]["doc-133"][column] = value
    day.maker.commit(day.first)
    refused = rf"b\.1\.parquet, row 43 \(id 'doc-133'\): column '{column}' holds a NUL"
    with pytest.raises(InputError, match=refused):
        day.export()
    mended = {name: dict(row) for name, row in day.first["b.parquet"].items()}
    mended["doc-133"][column] = None
    day.maker.commit({"a.parquet": day.first["a.parquet"], "b.parquet": mended})
    with pytest.raises(InputError, match=refused + ".*; or --replace true to load sequence 2 anew"):
        day.export()
    day.export(replace=True)
    day.check()


def test_ids_that_stand_twice_are_an_error_and_nothing_of_the_file_is_there(day: Day) -> None:
    twice = dict(day.first["b.parquet"]) | {"doc-3": day.first["b.parquet"]["doc-100"]}
    day.maker.commit({"a.parquet": day.first["a.parquet"], "b.parquet": twice})
    for _ in range(2):
        with pytest.raises(RunError, match=r"\(doc-3\) already exists|ids stand twice in the output"):
            day.export()
    assert rows(day, "select count(*) from {}") == [(90,)]


def test_a_server_that_is_down_is_a_run_error(day: Day) -> None:
    day.maker.commit(day.first)
    with pytest.raises(RunError, match=r"pgvector at postgresql://127\.0\.0\.1:9/.*the same command goes on"):
        day.export(destination={"uri": "postgresql://127.0.0.1:9/x"})


def test_a_table_of_somebody_else_is_left_alone(day: Day) -> None:
    day.maker.commit(day.first)
    import psycopg

    with psycopg.connect(day.engine.uri) as connection:
        connection.execute(f"create table {day.name} as select 7 as x")
    for replace in (False, True):
        with pytest.raises(InputError, match=r"was not made by export: give another destination\.collection"):
            day.export(replace=replace)
    assert rows(day, "select * from {}") == [(7,)]


def test_an_index_that_the_dim_forbids_is_refused_before_anything(day: Day) -> None:
    from jobs.config.export import DestinationSection
    from jobs.export.targets.pgvector import Pgvector

    described = day.maker.description | {"dim": 2001}
    wide = describe_collection("x", described, day.maker.schema, None)
    with pytest.raises(InputError, match=r"indexes at most 2,000 dims of vector, column 'vector' has 2,001"):
        Pgvector(DestinationSection(uri="postgresql://h/d"), wide, None)
    assert Pgvector(DestinationSection(uri="postgresql://h/d", index="none"), wide, None)


def test_types_without_sql_are_refused_by_column(day: Day) -> None:
    schema = day.maker.schema.append(pa.field("span", pa.duration("s")))
    from jobs.config.export import DestinationSection
    from jobs.export.targets.pgvector import Pgvector

    collection = describe_collection("x", day.maker.description, schema, None)
    with pytest.raises(InputError, match=r"column 'span' is of type duration\[s\], for which there is no SQL type"):
        Pgvector(DestinationSection(uri="postgresql://h/d"), collection, None)
    without = describe_collection("x", day.maker.description, schema, ["title"])
    assert Pgvector(DestinationSection(uri="postgresql://h/d"), without, None)


def test_times_beyond_64_bits_are_refused_and_nanoseconds_are_cut_off() -> None:
    with pytest.raises(pa.ArrowInvalid, match="out of bounds"):
        column_fields(pa.array([2**62], pa.timestamp("ms")), "timestamp")
    cut = [column_fields(pa.array([1_999], pa.timestamp(unit)), "timestamp") for unit in ("ns", "us")]
    assert cut[0] == column_fields(pa.array([1], pa.timestamp("us")), "timestamp") != cut[1]
