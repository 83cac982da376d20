"""The source of the chaos benchmark, and an account of what came out of it that uses none of the product's code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import s3fs

DIM, OUTPUT_DIM = 64, 16
_ROW_GROUP_ROWS = 100


@dataclass
class Account:
    """Rows expected and present; ids that are missing, doubled or have a wrong vector or payload; what is left over."""

    expected: int
    present: int = 0
    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    leftovers: dict[str, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Nothing lost, doubled or wrong."""
        return self.present == self.expected and not (self.missing or self.doubled or self.wrong)


@dataclass(frozen=True)
class Source:
    """`shards` shards of `rows` rows each, a pure function of the seed."""

    shards: int
    rows: int
    seed: int

    def vectors(self, shard: int) -> npt.NDArray[np.float32]:
        """(rows, DIM) of one shard."""
        return np.random.default_rng([self.seed, shard]).normal(size=(self.rows, DIM)).astype(np.float32)

    def ids(self, shard: int) -> list[str]:
        """Ids of one shard."""
        return [f"{shard}-{row}" for row in range(self.rows)]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Key and content of every shard. Their pages carry checksums: without them nobody can see a flipped bit."""
        for shard in range(self.shards):
            flat = pa.array(self.vectors(shard).ravel())
            ids = self.ids(shard)
            content = pa.table(
                {
                    "id": ids,
                    "vector": pa.FixedSizeListArray.from_arrays(flat, DIM),
                    "text": [f"text of {name}" for name in ids],
                }
            )
            sink = pa.BufferOutputStream()
            pq.write_table(content, sink, row_group_size=_ROW_GROUP_ROWS, write_page_checksum=True)
            yield f"part-{shard % 7}/{shard:05}.parquet", bytes(sink.getvalue())

    def expected(self, linear: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float64]]:
        """Short vector by id, in double precision."""
        found: dict[str, npt.NDArray[np.float64]] = {}
        for shard in range(self.shards):
            long = self.vectors(shard).astype(np.float64)
            short = long / np.linalg.norm(long, axis=1, keepdims=True) @ linear[:, :OUTPUT_DIM].astype(np.float64)
            short /= np.linalg.norm(short, axis=1, keepdims=True)
            found |= dict(zip(self.ids(shard), short, strict=True))
        return found


def account(client: s3fs.S3FileSystem, output: str, expected: dict[str, npt.NDArray[np.float64]]) -> Account:
    """Read everything below `output` (`bucket/prefix`) and compare it row by row with what it should be."""
    found = Account(len(expected))
    seen: Counter[str] = Counter()
    client.invalidate_cache()
    keys = client.find(output)
    for key in keys:
        if "/data/" in key and key.endswith(".parquet"):
            content = pq.ParquetFile(pa.BufferReader(client.cat_file(key))).read()
            seen.update(content["id"].to_pylist())
            found.wrong += _wrong(content, expected)
    found.present = sum(seen.values())
    found.doubled = sum(count - 1 for count in seen.values())
    found.missing = len(expected.keys() - seen.keys())
    found.leftovers = _leftovers(client, output, keys)
    return found


def _wrong(content: pa.Table, expected: dict[str, npt.NDArray[np.float64]]) -> int:
    nothing = np.full(OUTPUT_DIM, np.nan)
    ids = content["id"].to_pylist()
    stored = np.array(content["vector"].to_pylist(), np.float64).reshape(len(ids), -1)
    right = np.array([expected.get(name, nothing) for name in ids]).reshape(len(ids), -1)
    good = np.abs(stored - right).max(axis=1, initial=0) < 1e-5
    good &= np.array([text == f"text of {name}" for name, text in zip(ids, content["text"].to_pylist(), strict=True)])
    return int((~good).sum())


def _leftovers(client: s3fs.S3FileSystem, output: str, keys: list[str]) -> dict[str, int]:
    """Outputs without a record, records without output, uploads that nobody finished or aborted, probes."""
    named, records = Counter[str](), 0
    for key in keys:
        if "/_ledger/" in key:
            record: dict[str, Any] = json.loads(client.cat_file(key))
            named[record["output"]] += 1
            records += 1
    outputs = {f"data/{key.split('/data/')[1]}" for key in keys if "/data/" in key}
    bucket = output.partition("/")[0]
    uploads = client.call_s3("list_multipart_uploads", Bucket=bucket).get("Uploads", [])
    return {
        "outputs without record": len(outputs - named.keys()),
        "records without output": len(named.keys() - outputs),
        "records too many": records - len(named),
        "unfinished uploads": len(uploads),
        "probes": sum("/_probe" in key for key in keys),
        "outputs that the manifest does not name": len(outputs ^ _in_manifest(client, keys)),
        "notes of failures": sum("/_failed/" in key or "/_attempts/" in key for key in keys),
    }


def _in_manifest(client: s3fs.S3FileSystem, keys: list[str]) -> set[str]:
    """The outputs that count, as their manifest says."""
    manifests = [json.loads(client.cat_file(key)) for key in keys if key.endswith("/manifest.json")]
    return {file["path"] for manifest in manifests for file in manifest["files"]}
