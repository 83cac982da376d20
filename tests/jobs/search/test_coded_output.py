"""Searching the files that compress wrote: exact, rescored, and refused where they belong to another adaptor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptor.errors import InputError
from jobs.commits.manifest import MANIFEST, Manifest, OutputFile
from jobs.commits.output_version import claim, describe
from jobs.commits.sequences import Contents, add_sequence
from jobs.commits.work_items import WorkItem
from jobs.compress.shard import ShardCompressor
from jobs.search.coded_output import CodedOutput, open_coded_output
from tests.jobs.compress.workplace import Workplace, table, vectors

ROWS = {"a.parquet": 70, "deep/b.parquet": 45, "deep/c.parquet": 3}


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    workplace = Workplace(tmp_path)
    for seed, (key, rows) in enumerate(ROWS.items()):
        workplace.put(key, table(rows, seed))
    return workplace


def compressed(place: Workplace, **output: Any) -> CodedOutput:
    config = place.config(output=output)
    there, description = place.output_version(output=output), describe(config.source, place.adaptor, config.output)
    claim(there, description)
    compressor = ShardCompressor(config)
    for shard in place.shards():
        compressor.compress(WorkItem(shard, None, shard.size))
    current = {(shard.key, shard.version) for shard in place.shards()}
    records = [one for one in place.records(output=output) if (one.shard, one.version) in current]
    add_sequence(there, Contents(description=description, files=map(OutputFile.of, records)), keep=7)
    return open_coded_output(place.output_version(output=output).uri, place.adaptor)


def everything() -> tuple[list[str], Any]:
    """All ids and original vectors, in the order of the files."""
    ids = [f"row-{seed}-{row}" for seed, rows in enumerate(ROWS.values()) for row in range(rows)]
    return ids, np.concatenate([vectors(rows, seed) for seed, rows in enumerate(ROWS.values())])


def expected(place: Workplace, queries: Any, encoding: str, k: int) -> list[list[str]]:
    ids, rows = everything()
    codec = place.adaptor.codec(dim=8, encoding=encoding)
    order = np.argsort(-codec.score(queries, codec.encode(rows)), axis=1, kind="stable")[:, :k]
    return [[ids[row] for row in found] for found in order]


@pytest.mark.parametrize("encoding", ["float32", "int8", "int4", "binary"])
def test_the_best_rows_of_all_files_are_found(encoding: str, place: Workplace) -> None:
    output, queries = compressed(place, dim=8, encoding=encoding), vectors(6, 33)
    assert output.search(queries, k=5).ids == expected(place, queries, encoding, 5)
    assert [*output.ids()] == everything()[0]


def test_candidates_are_rescored_by_the_second_column(place: Workplace) -> None:
    output = compressed(place, dim=8, encoding="binary", rescore={"dim": 8, "encoding": "float32"})
    queries = vectors(6, 33)
    assert output.search(queries, k=5, candidates=118).ids == expected(place, queries, "float32", 5)
    few = output.search(queries, k=5, candidates=10)
    by_code = output.search(queries, k=10).ids
    assert all(set(near) <= set(first) for near, first in zip(few.ids, by_code, strict=True))
    assert output.search(queries[0], k=200).ids[0][118:] == [None] * 82


def test_faiss_takes_the_files(place: Workplace) -> None:
    output, queries, ids = compressed(place, dim=8, encoding="int4"), vectors(6, 33), everything()[0]
    _, rows = output.faiss_index().search(queries, 5)
    assert [[ids[row] for row in found] for found in rows] == output.search(queries, k=5).ids


def test_a_file_without_a_record_does_not_count(place: Workplace) -> None:
    output = compressed(place, dim=8, encoding="int2")
    ghost = Path(output.objects.uri) / "data/ghost.parquet"
    ghost.write_bytes((Path(output.objects.uri) / output.files[0].path).read_bytes())
    again = open_coded_output(output.objects.uri, place.adaptor)
    assert len([*again.ids()]) == sum(ROWS.values())


def test_what_is_not_ours_is_refused(place: Workplace) -> None:
    output = compressed(place, dim=8, encoding="int4")
    folder, owner = Path(output.objects.uri), place.adaptor
    with pytest.raises(InputError, match="has no second column to rescore with"):
        output.search(vectors(1), k=1, candidates=5)
    queries = vectors(2)
    queries[1, 3] = np.nan
    with pytest.raises(InputError, match="row 1 holds NaN"):
        output.search(queries, k=1)
    with pytest.raises(InputError, match=r"output_version\.json is missing"):
        open_coded_output(str(folder.parent), owner)
    stranger = place.set_adaptor(seed=5)
    with pytest.raises(InputError, match=f"was made by adaptor {owner.adaptor_id[:16]}, given is"):
        open_coded_output(str(folder), stranger)
    compressed(place, dim=8, encoding="int4")
    foreign = place.output_path("a.parquet", output={"dim": 8, "encoding": "int4"})
    (folder / output.files[0].path).write_bytes(foreign.read_bytes())
    with pytest.raises(InputError, match=r"data/a\.\w+\.parquet(: its footer says adaptor_id| has \d+ bytes)"):
        open_coded_output(str(folder), owner)


def test_a_file_of_another_encoding_or_shard_is_found(place: Workplace) -> None:
    """Sizes are made to agree: only the footer tells."""
    output = compressed(place, dim=8, encoding="int4", rescore={"dim": 8, "encoding": "int4"})
    other = compressed(place, dim=8, encoding="int4", rescore={"dim": 8, "encoding": "int2"})
    folder, foreign = Path(output.objects.uri), Path(other.objects.uri)
    good = (folder / output.files[0].path).read_bytes()
    for content, wrong in (
        ((foreign / other.files[0].path).read_bytes(), "rescore"),
        ((folder / output.files[1].path).read_bytes(), "source"),
    ):
        _put(folder, content)
        with pytest.raises(InputError, match=f"its footer says {wrong}"):
            open_coded_output(str(folder), place.adaptor)
    _put(folder, good)
    assert open_coded_output(str(folder), place.adaptor).search(vectors(1), k=1).ids


def _put(folder: Path, content: bytes) -> None:
    """Put it in the place of the first output, and make the manifest say that it has this size."""
    manifest = Manifest.from_json((folder / MANIFEST).read_bytes(), MANIFEST)
    first = replace(manifest.files[0], bytes=len(content))
    (folder / first.path).write_bytes(content)
    (folder / MANIFEST).write_bytes(replace(manifest, files=[first, *manifest.files[1:]]).to_json())


def test_a_folder_stays_searchable_while_its_store_moves_on(place: Workplace) -> None:
    output = compressed(place, dim=8, encoding="int4")
    queries, before = vectors(4, 33), output.search(vectors(4, 33), k=5).ids
    place.put("a.parquet", table(3, seed=77))
    newer = compressed(place, dim=8, encoding="int4")
    assert newer.search(queries, k=5).ids != before
    assert output.search(queries, k=5).ids == before
    assert open_coded_output(output.objects.uri, place.adaptor, sequence=1).search(queries, k=5).ids == before
    (Path(output.objects.uri) / newer.files[0].path).unlink()
    with pytest.raises(InputError, match=r"is missing, the manifest says \d+ bytes"):
        newer.search(queries, k=1)


def test_no_rows_and_no_queries_are_no_error(place: Workplace) -> None:
    empty = Workplace(place.root / "empty")
    empty.put("a.parquet", table(5, 0).slice(0, 0))
    output = compressed(empty, dim=8, encoding="int2", rescore={"dim": 8, "encoding": "float16"})
    assert output.search(vectors(2), k=3).ids == [[None] * 3] * 2
    assert output.search(vectors(2), k=3, candidates=5).ids == [[None] * 3] * 2
    assert compressed(place, dim=8, encoding="int2").search(vectors(0), k=3).ids == []
    with pytest.raises(InputError, match="k is 0: ask for at least 1 row"):
        output.search(vectors(2), k=0)
    with pytest.raises(InputError, match="vectors are ragged"):
        output.search([[1.0], [1.0, 2.0]], k=1)
