"""Compress and verify in every encoding: rows, ids and payload stay, codes are those of the library, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.codec import BITS
from adaptor.errors import InputError
from jobs.commits.output_version import claim, describe
from jobs.commits.work_items import WorkItem
from jobs.compress.shard import ShardCompressor
from jobs.encodings.packed import Packed
from jobs.verify.checks import Finding
from jobs.verify.context import ItemTask, open_context
from jobs.verify.item import check_item
from tests.jobs.compress.workplace import Workplace, table, vectors

DIM = 8
CODED = [name for name in BITS if name not in ("float32", "float16")]
KEY, SEED, ROWS = "a.parquet", 1, 25


def compress_here(place: Workplace, **sections: Any) -> pa.Table:
    """Compress shard KEY in this process; the output."""
    config = place.config(**sections)
    claim(place.output_version(**sections), describe(config.source, place.adaptor, config.output))
    shard = next(shard for shard in place.shards() if shard.key == KEY)
    ShardCompressor(config).compress(WorkItem(shard, None, shard.size))
    return place.output(KEY, **sections)


def verify_here(place: Workplace, **sections: Any) -> list[Finding]:
    """What verify finds in the output of shard KEY, all rows computed again."""
    open_context.cache_clear()
    record = next(record for record in place.records(**sections) if record.shard == KEY)
    config = place.verify_config(**sections).model_dump_json()
    return check_item(config, ItemTask(record, True, range(record.rows_out), True)).findings


def codes_of(column: pa.ChunkedArray) -> Any:
    """The stored codes (n, width) as the library has them."""
    array = column.combine_chunks()
    if pa.types.is_fixed_size_binary(array.type):
        return np.stack([np.frombuffer(code, np.uint8) for code in array.to_pylist()])
    return array.flatten().to_numpy().reshape(len(array), -1)


@pytest.mark.parametrize("encoding", CODED)
def test_codes_are_those_of_the_library(encoding: str, workplace: Workplace) -> None:
    sections = {"output": {"dim": DIM, "encoding": encoding}}
    output, source = compress_here(workplace, **sections), pq.read_table(workplace.source / KEY)
    assert workplace.output_version(**sections).uri.endswith(f"-d{DIM}-{encoding}")
    assert output.drop_columns("vector").to_pylist() == source.drop_columns("vector").to_pylist()
    codec = workplace.adaptor.codec(dim=DIM, encoding=encoding)
    codes = codes_of(output["vector"])
    np.testing.assert_array_equal(codes, codec.encode(vectors(ROWS, SEED)))
    assert codes.nbytes == codec.bytes_per_vector * ROWS == BITS[encoding] * DIM // 8 * ROWS
    assert verify_here(workplace, **sections) == []


def test_two_columns_for_search_and_rescore(workplace: Workplace, ray_cluster: None) -> None:
    sections: dict[str, Any] = {
        "output": {"dim": DIM, "encoding": "binary", "rescore": {"dim": 5, "encoding": "float16"}}
    }
    assert workplace.compress(**sections) == 0
    assert workplace.output_version(**sections).uri.endswith("-d8-binary+d5-float16")
    output, wide = workplace.output(KEY, **sections), vectors(ROWS, SEED)
    assert output.column_names == ["payload", "id", "vector", "price", "vector_rescore"]
    better = np.stack(output["vector_rescore"].to_pylist()).astype(np.float32)
    np.testing.assert_allclose(better, workplace.adaptor.transform(wide, dim=5), atol=1e-3)
    np.testing.assert_array_equal(
        codes_of(output["vector"]), workplace.adaptor.codec(dim=DIM, encoding="binary").encode(wide)
    )
    status, summary = workplace.verify(**sections)
    assert (status, summary["rows"]) == (0, 59)


@pytest.mark.parametrize("column", ["vector", "vector_rescore"])
def test_verify_finds_a_wrong_level_in_either_column(
    column: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another version had rounded otherwise: sizes and hashes agree, one number of one row does not."""
    sections = {"output": {"dim": DIM, "encoding": "int2", "rescore": {"dim": DIM, "encoding": "int4"}}}
    honest, to_spoil = Packed.encode, [{"vector": "int2", "vector_rescore": "int4"}[column]]

    def off_by_one_bit(self: Packed, rows: Any) -> pa.Array:
        codes = [bytearray(code.as_py()) for code in honest(self, rows)]
        if [self.name] == to_spoil:  # of the first batch only
            to_spoil.clear()
            codes[7][0] ^= 1
        return pa.array([bytes(code) for code in codes], self.arrow_type)

    monkeypatch.setattr(Packed, "encode", off_by_one_bit)
    compress_here(workplace, **sections)
    monkeypatch.undo()
    (finding,) = verify_here(workplace, **sections)
    assert finding.check == "sample"
    assert f"1 of {ROWS} sampled rows differ, the first is row 7: number 0 of '{column}'" in finding.problem


def test_codes_of_another_adaptor_are_not_taken_for_ours(workplace: Workplace) -> None:
    sections = {"output": {"dim": DIM, "encoding": "int4"}}
    compress_here(workplace, **sections)
    folder = Path(workplace.output_version(**sections).uri)
    workplace.set_adaptor(seed=4)
    folder.rename(workplace.output_version(**sections).uri)
    problems = {finding.check for finding in verify_here(workplace, **sections)}
    assert {"stamps", "sample"} <= problems


def test_a_dim_without_codes_is_refused(workplace: Workplace) -> None:
    with pytest.raises(InputError, match=r"no int4 codes were fitted at dim 5: take one of 8"):
        workplace.compress(output={"dim": 5, "encoding": "int4"})


def test_a_payload_column_in_the_way_is_named(workplace: Workplace) -> None:
    workplace.put(KEY, table(ROWS, SEED).append_column("vector_rescore", [["x"] * ROWS]))
    output = {"dim": DIM, "encoding": "binary", "rescore": {"dim": 5}}
    with pytest.raises(InputError, match=r"has a column 'vector_rescore' already.*set output\.rescore\.column"):
        compress_here(workplace, output=output)
    better = compress_here(workplace, output={**output, "rescore": {"dim": 4, "column": "better"}})
    assert better.column_names == ["payload", "id", "vector", "price", "vector_rescore", "better"]


def test_numbers_beyond_int8_are_clipped_and_counted(workplace: Workplace) -> None:
    workplace.set_adaptor(metric="dot", architecture="linear", head=None)
    far = table(ROWS, SEED).set_column(2, "vector", pa.array((vectors(ROWS) * 1000).tolist(), pa.list_(pa.float32())))
    workplace.put(KEY, far)
    sections = {"source": {"metric": "dot"}, "output": {"dim": DIM, "encoding": "int8"}}
    codes = codes_of(compress_here(workplace, **sections)["vector"])
    assert (codes.min(), codes.max()) == (-127, 127)
    (record,) = workplace.records(**sections)
    assert record.values_clipped > ROWS
