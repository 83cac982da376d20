"""Records: their names tell what is done, they survive the way to JSON and back, and damage is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptor.errors import InputError
from jobs.commits.ledger import LedgerRecord, commit, list_names, read_record
from jobs.commits.names import RowGroups
from jobs.config.sections import FilesystemOptions
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

RECORD = LedgerRecord(
    shard="sub/ü.parquet",
    size=100,
    version="v1",
    row_groups=RowGroups(0, 3, 12),
    rows_in=10,
    rows_out=9,
    rows_quarantined=1,
    duplicate_ids=None,
    output="data/sub/ü.rg00000-00003.parquet",
    output_bytes=50,
    sha256="ab" * 32,
    quarantine="_quarantine/sub/ü.rg00000-00003.parquet",
    quarantine_sha256="ef" * 32,
    adaptor_id="cd" * 32,
    dim=64,
    encoding="float16",
    versions={"numpy": "2"},
)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    """An empty output version."""
    return open_objects(str(tmp_path), FilesystemOptions())


@pytest.mark.parametrize("record", [RECORD, replace(RECORD, row_groups=None, quarantine=None, duplicate_ids=4)])
def test_a_record_is_found_by_name_and_reads_back(objects: Objects, record: LedgerRecord) -> None:
    assert commit(objects, record)
    objects.put("_ledger/notes.txt", b"not a record")
    assert list_names(objects) == [record.name]
    assert read_record(objects, record.name) == record


def test_the_name_changes_with_shard_version_size_and_rows() -> None:
    others = [
        replace(RECORD, shard="x.parquet"),
        replace(RECORD, version="v2"),
        replace(RECORD, size=101),
        replace(RECORD, row_groups=RowGroups(3, 6, 12)),
        replace(RECORD, row_groups=None),
    ]
    assert len({record.name.key for record in (RECORD, *others)}) == 6


def test_the_first_attempt_stands(objects: Objects) -> None:
    commit(objects, RECORD)
    later = replace(RECORD, versions={"numpy": "3"})
    assert not commit(objects, later)
    assert commit(objects, RECORD)  # again: the reply to the first was lost
    assert read_record(objects, RECORD.name) == RECORD


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", RECORD.to_json()[:99], b'{"row_groups": {"start": "x"}}'])
def test_a_damaged_record_is_named(objects: Objects, content: bytes) -> None:
    objects.put(RECORD.name.key, content)
    with pytest.raises(InputError, match=r"_ledger/.* is not a record of this version .* run compress again"):
        read_record(objects, RECORD.name)


@pytest.mark.parametrize(
    "changed",
    [
        {"rows_out": "7"},
        {"rows_in": None},
        {"rows_quarantined": -1},
        {"output": None},
        {"quarantine": 3},
        {"versions": {"numpy": 2}},
        {"row_groups": {"start": 5, "stop": 2, "total": 8}},
        {"row_groups": {"start": "0", "stop": 2, "total": 8}},
    ],
)
def test_a_record_with_fields_of_another_type_is_damaged(changed: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="is not a record of this version"):
        LedgerRecord.from_json(replace(RECORD, **changed).to_json())


def test_a_record_that_says_something_else_is_damaged() -> None:
    content = RECORD.to_json().replace(b'"numpy": "2"', b'"numpy": "3"')
    with pytest.raises(InputError, match="not that of its content"):
        LedgerRecord.from_json(content)


def test_a_record_under_another_name_is_refused(objects: Objects) -> None:
    objects.put(RECORD.name.key, replace(RECORD, size=7).to_json())
    with pytest.raises(InputError, match="under another name"):
        read_record(objects, RECORD.name)
