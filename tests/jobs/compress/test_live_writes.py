"""Documents that arrive between two runs are encoded by the same object, one by one, and get the bytes of compress.

A matrix product may sum up a row in another order when it stands elsewhere. Where the processor's kernel treats all
rows alike (OpenBLAS with AVX-512), bytes are equal. Elsewhere (OpenBLAS with AVX2) a number may come out one rounding
apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.codec import BITS, Codec
from adaptor.quantisers import Codes
from adaptor.rows import Floats
from jobs.commits.output_version import claim, describe, open_output_version
from jobs.commits.work_items import WorkItem
from jobs.compress import command as compress
from jobs.compress.shard import ShardCompressor
from jobs.config.compress import CompressConfig
from jobs.encodings.stored import stored_codes
from jobs.search.coded_output import open_coded_output
from jobs.sources.source import open_source
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

DIM = 128
SHARD = sorted((SCIFACT / "corpus").glob("*.parquet"))[0]
ALL_ENCODINGS = pytest.mark.parametrize("encoding", BITS)


def rows_come_out_alike() -> bool:
    """Whether the matrix products of this processor do not look at where a row stands."""
    rng = np.random.default_rng(0)
    row, matrix = rng.normal(size=(1, 384)).astype(np.float32), rng.normal(size=(384, DIM)).astype(np.float32)
    products = np.repeat(row, 4096, axis=0) @ matrix
    return bool((products == products[0]).all() and (np.repeat(row, 100, axis=0) @ matrix == products[0]).all())


def assert_same(codec: Codec, live: Codes, stored: Codes) -> None:
    """Equal bytes; where rows do not come out alike, the same but for numbers beside the border of two codes."""
    assert (live.dtype, live.shape) == (stored.dtype, stored.shape)
    if rows_come_out_alike():
        np.testing.assert_array_equal(live, stored)
    else:
        one, other = codec.reconstruct(live), codec.reconstruct(stored)
        np.testing.assert_allclose(one, other, atol=2 * float(codec.quantiser.tolerance(other).max()) + 1e-6)
        assert codec.encoding in ("float32", "float16") or (one != other).mean() < 1e-3


def config_of(tmp_path: Path, encoding: str, source: Path = SCIFACT / "corpus") -> CompressConfig:
    """Compress of the bundled corpus with an adaptor that this writes."""
    sections: dict[str, Any] = {
        "source": {"uri": str(source)},
        "adaptor": {"uri": save_adaptor(scifact_adaptor(), tmp_path / "adaptor")},
        "output": {"uri": str(tmp_path / "short"), "dim": DIM, "encoding": encoding},
        "cluster": {"workers": 1},
    }
    return CompressConfig.model_validate(sections)


@ALL_ENCODINGS
def test_a_document_alone_and_among_many_has_the_bytes_of_compress(encoding: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, encoding)
    output_version = open_output_version(config.output, scifact_adaptor())
    claim(output_version, describe(config.source, scifact_adaptor(), config.output))
    shard = next(shard for shard in open_source(config.source).shards() if shard.key == SHARD.name)
    record = ShardCompressor(config).compress(WorkItem(shard, None, shard.size))
    stored = stored_codes(pq.read_table(output_version.path(record.output))["vector"])

    codec, documents = scifact_adaptor().codec(dim=DIM, encoding=encoding), vectors_of(SHARD)
    assert len(stored) == len(documents) > 500
    assert_same(codec, np.concatenate([codec.encode(documents[row : row + 1]) for row in range(100)]), stored[:100])
    assert_same(codec, np.stack([codec.encode(row) for row in documents[-20:].astype(np.float64)]), stored[-20:])
    for batch in (2, 7, 64, len(documents)):
        parts = [codec.encode(documents[start : start + batch]) for start in range(0, len(documents), batch)]
        assert_same(codec, np.concatenate(parts), stored)


def test_the_next_run_writes_what_was_written_live(tmp_path: Path, ray_cluster: None) -> None:
    source, table = tmp_path / "source", pq.read_table(SHARD)
    source.mkdir()
    pq.write_table(table[:200], source / "a.parquet")
    config, codec = config_of(tmp_path, "int8", source), scifact_adaptor().codec(dim=DIM, encoding="int8")
    assert compress.run(config) == 0
    database = written(config)
    live = pa.concat_tables([table[390:391], table[250:380]])  # they arrive one by one, in an order of their own
    for name, vector in zip(live["id"].to_pylist(), vectors_in(live), strict=True):
        database[name] = codec.encode(vector)
    pq.write_table(table[250:391], source / "b.parquet")
    for name, vector in zip(table["id"][380:390].to_pylist(), vectors_in(table[380:390]), strict=True):
        database[name] = codec.encode(vector)
    assert compress.run(config) == 0
    after = written(config)
    assert list(after) == [*table["id"][:200].to_pylist(), *table["id"][250:391].to_pylist()]
    assert_same(codec, np.stack([database[name] for name in after]), np.stack(list(after.values())))


def written(config: CompressConfig) -> dict[str, Codes]:
    """The codes in the only output version, by id."""
    (folder,) = Path(config.output.uri).iterdir()
    output = open_coded_output(str(folder), scifact_adaptor())
    codes = np.concatenate(list(output.blocks("vector")))
    return {str(name): code for name, code in zip(output.ids(), codes, strict=True)}


def vectors_in(table: pa.Table) -> Floats:
    """The vectors of a table, float32 (n, 384)."""
    return np.stack(table["vector"].to_pylist()).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(12, 5), (96, 32), (200, 40), (384, 16), (768, 96)]),
    st.sampled_from(["linear", "mlp"]),
    st.integers(1, 400),
    st.integers(0, 4999),
)
def test_a_row_comes_out_the_same_wherever_it_stands(
    shape: tuple[int, int], architecture: str, rows: int, first: int
) -> None:
    many, fitted = made(*shape, architecture)
    some = fitted.transform(many[first : first + rows], dim=shape[1])
    everything = fitted.transform(many, dim=shape[1])[first : first + rows]
    if rows_come_out_alike():
        np.testing.assert_array_equal(some, everything)
    np.testing.assert_allclose(some, everything, atol=1e-6)


_MADE: dict[tuple[int, int, str], tuple[Floats, Any]] = {}


def made(input_dim: int, dim: int, architecture: str) -> tuple[Floats, Any]:
    """5,000 rows and an adaptor for them."""
    if (key := (input_dim, dim, architecture)) not in _MADE:
        many = np.random.default_rng(0).normal(size=(5000, input_dim)).astype(np.float32)
        _MADE[key] = many, make_adaptor(many[:2000], (dim,), architecture=architecture)
    return _MADE[key]
