"""What is fuzzed: everything that reads bytes which others may have written. Only errors of ours may come out.

Each target takes bytes and hands them to a reader; its seeds are good inputs and those of the zoo.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data  # noqa: F401 - as in the actors, where Ray's extension types are known to Arrow

from adaptor.artefact import from_files
from adaptor.errors import InputError, RunError
from adaptor.identity import DOCUMENT, FILES, IDENTITY, PCA, WEIGHTS
from adaptor.query_side.description import parse_description
from adaptor.query_side.exported import query_side
from jobs.commits.ledger import LedgerRecord, list_names, read_record
from jobs.commits.output_version import DESCRIPTION, check_description, claim, describe
from jobs.commits.work_items import WorkItem
from jobs.compress.shard import ShardCompressor
from jobs.config.loader import SCHEMAS, load
from jobs.config.sections import FilesystemOptions, SourceSection
from jobs.outputs.schema_notes import agreeing
from jobs.sources.columns import describe_vectors
from jobs.sources.file_list import read_list
from jobs.sources.matrix_files import read_bytes, read_header
from jobs.sources.source import Shard, open_source
from jobs.sources.vectors import decode
from jobs.storage.open import open_objects
from jobs.verify.context import ItemTask
from jobs.verify.item import check_item
from tests.jobs.compress.workplace import Workplace, table
from tests.jobs.zoo.bad_rows import bad_rows
from tests.jobs.zoo.damaged_files import damaged_files
from tests.jobs.zoo.kinds import encoded
from tests.jobs.zoo.odd_shards import odd_shards

#: Zoo shards larger than this are no seeds: most of what a fuzzer changes in them says nothing.
_SEED_BYTES = 32_000


class Targets:
    """The targets, working in a folder of their own. `names` lists them."""

    names = (
        "footer",
        "shard",
        "output",
        "quarantine",
        "record",
        "artefact",
        "description",
        "config",
        "lake",
        "query_side",
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = Workplace(folder)
        self._place.put("seed.parquet", table(12, 1))
        self._source_files = open_objects(str(self._place.source), FilesystemOptions())

    def run(self, name: str, content: bytes) -> None:
        """Give the bytes to a target. What comes out of here is a defect."""
        target: Callable[[bytes], object] = getattr(self, f"_{name}")
        aborts = name in ("shard", "output", "quarantine") and _aborts_pyarrow(content)
        if name == "shard":
            self._compressor.low_memory = aborts  # what a second attempt does, once the first has killed its worker
        elif aborts:
            return
        with suppress(InputError, RunError):
            target(content)

    def seeds(self, name: str) -> list[bytes]:
        """Inputs to begin with."""
        if name in ("footer", "shard"):
            return self._parquet_seeds
        output_version = self._compressed
        if name == "output":
            return [output_version.read(self._item("seed.parquet").output)]
        if name == "quarantine":
            return [output_version.read(self._item("bad.parquet").quarantine)]
        if name == "record":
            return [record.to_json() for record in self._records.values()]
        if name == "description":
            return [output_version.read(DESCRIPTION)]
        if name == "lake":
            return self._lake_seeds
        if name == "query_side":
            encodings = ("float16", "int8", "int2")
            return [query_side(self._place.adaptor, dim=8, encoding=e).description.to_json() for e in encodings]
        if name == "artefact":
            return [bytes([number]) + content for number, content in enumerate(self._artefact_files.values())]
        return [path.read_bytes() for path in sorted(Path("configs").rglob("*.yaml"))]

    @cached_property
    def _parquet_seeds(self) -> list[bytes]:
        seeds = [encoded(table(12, 1), row_group_size=5, compression=codec) for codec in ("none", "zstd")]
        for kind in (*damaged_files(), *bad_rows(), *odd_shards()):
            path = self._folder / "seed"
            kind.make(path)
            if path.stat().st_size < _SEED_BYTES:
                seeds.append(path.read_bytes())
            path.unlink()
        return seeds

    @cached_property
    def _lake_seeds(self) -> list[bytes]:
        """Other files, each behind the number of its kind."""
        rows, matrix = np.ones((3, 4), np.float32), io.BytesIO()
        np.save(matrix, rows)
        spark = {"fields": [{"name": name, "type": "string"} for name in table(1, 1).column_names]}
        lines = [b"a.npy\n", json.dumps({"entries": [{"url": "a.npy", "meta": {"content_length": 3}}]}).encode()]
        kinds = [[matrix.getvalue()], [struct.pack("<II", 3, 4) + rows.tobytes()], [b"[1,2]\n{3, 4}"], lines]
        notes = [
            [json.dumps(spark).encode()],
            [b'{"index_columns": [], "columns": []}'],
            [b'{"info": {"features": {}}}'],
        ]
        return [bytes([kind]) + content for kind, contents in enumerate((*kinds, *notes)) for content in contents]

    @cached_property
    def _compressor(self) -> ShardCompressor:
        source = {"ids": {"mixed": "keep"}}  # the seeds have ids of all types
        return ShardCompressor(self._place.config(source=source, reading={"bad_rows": "quarantine"}))

    @cached_property
    def _compressed(self) -> Any:
        """An output version with a good shard and one with a rejected row."""
        bad = next(kind for kind in bad_rows() if kind.name == "row with NaN")
        bad.make(self._place.source / "bad.parquet")
        config, there = self._place.config(), self._place.output_version()
        claim(there, describe(config.source, self._place.adaptor, config.output))
        for key in ("seed.parquet", "bad.parquet"):
            self._compressor.compress(self._item(key))
        return there

    @cached_property
    def _records(self) -> dict[str, LedgerRecord]:
        found = (read_record(self._compressed, name) for name in list_names(self._compressed))
        return {record.shard: record for record in found}

    @cached_property
    def _artefact_files(self) -> dict[str, bytes]:
        return self._place.adaptor.to_files()

    def _item(self, key: str) -> WorkItem:
        info = self._source_files.stat(key)
        assert info is not None
        return WorkItem(Shard(info.key, info.size, info.version), None, info.size)

    def _footer(self, content: bytes) -> None:
        self._source_files.put("fuzzed.parquet", content)
        section = SourceSection(uri=str(self._place.source))
        describe_vectors(open_source(section), self._item("fuzzed.parquet").shard, section)

    def _shard(self, content: bytes) -> None:
        self._source_files.put("fuzzed.parquet", content)
        self._compressor.compress(self._item("fuzzed.parquet"))

    def _lake(self, content: bytes) -> None:
        """The first byte says what the others are: npy, fbin, vectors as text, a list of files, or a schema note."""
        kind, content = (content[0] % 7, content[1:]) if content else (0, b"")
        files = open_objects(str(self._folder / "lake"), FilesystemOptions())
        if kind < 2:
            key = ("a.npy", "a.fbin")[kind]
            files.put(key, content)
            matrix = read_header(files, key, len(content))
            matrix.column(read_bytes(files, key, matrix.offset, min(matrix.rows, 2) * matrix.row_bytes))
        elif kind == 2:
            decode(pa.array(content.decode(errors="replace").splitlines(), pa.string()), None)
        elif kind == 3:
            files.put("list", content)
            read_list(f"{files.uri}/list", files.uri, FilesystemOptions(), "source")
        else:
            name = ("org.apache.spark.sql.parquet.row.metadata", "pandas", "huggingface")[kind - 4]
            agreeing(table(1, 1).schema.with_metadata({name: content}))

    def _output(self, content: bytes) -> None:
        """Verify looks into an output whose record vouches for it."""
        sealed: dict[str, Any] = {"output_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self._check(
            self._item("seed.parquet").output, content, dataclasses.replace(self._records["seed.parquet"], **sealed)
        )

    def _quarantine(self, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        record = dataclasses.replace(self._records["bad.parquet"], quarantine_sha256=digest)
        self._check(self._item("bad.parquet").quarantine, content, record)

    def _check(self, key: str, content: bytes, record: LedgerRecord) -> None:
        self._compressed.put(key, content)
        rows = range(min(record.rows_out, 3))
        check_item(self._place.verify_config().model_dump_json(), ItemTask(record, True, rows, True))

    def _record(self, content: bytes) -> None:
        with suppress(InputError):
            LedgerRecord.from_json(content)
        with suppress(ValueError, AttributeError, TypeError):  # past the checksum: whoever forges a record knows how
            fields = json.loads(content)
            fields.pop("checksum", None)
            checksum = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
            content = json.dumps(fields | {"checksum": checksum}).encode()
        LedgerRecord.from_json(content)

    def _artefact(self, content: bytes) -> None:
        """The first byte says which of its files the others are."""
        name = FILES[content[0] % len(FILES)] if content else DOCUMENT
        files = {**self._artefact_files, name: content[1:]}
        with suppress(InputError):
            from_files(files)
        adaptor = from_files(_forged(files))
        adaptor.transform(np.ones((2, adaptor.input_dim), np.float32), dim=1)

    def _description(self, content: bytes) -> None:
        self._compressed.put(DESCRIPTION, content)
        config = self._place.config()
        check_description(self._compressed, describe(config.source, self._place.adaptor, config.output))

    def _query_side(self, content: bytes) -> None:
        description = parse_description(content, "query side")
        description.check_canary(np.array(description.canary.transformed, np.float32), None, "numpy")

    def _config(self, content: bytes) -> None:
        path = self._folder / "config.yaml"
        path.write_bytes(content)
        for schema in SCHEMAS.values():
            with suppress(InputError):
                load(schema, path)


def _aborts_pyarrow(content: bytes) -> bool:
    """Whether pyarrow 26 ends the process when asked for the metadata of a column chunk (its C++ exception is caught
    nowhere): wrong sizes of the histograms that newer writers put into footers. In a job the worker dies once, and the
    next attempt does not ask."""
    try:
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                next(file.iter_batches(1, row_groups=[group], use_threads=False), None)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as problem:
        return "histogram size mismatch" in str(problem)
    return False


def _forged(files: dict[str, bytes]) -> dict[str, bytes]:
    """The artefact with all its hashes made to agree, as whoever forges one would do."""
    try:
        document = json.loads(files[DOCUMENT])
        document |= {"weights_sha256": _sha256(files[WEIGHTS]), "pca_sha256": _sha256(files[PCA])}
        document["adaptor_id"] = _sha256(_canonical({key: document[key] for key in IDENTITY}))
        document["checksum"] = _sha256(_canonical({k: v for k, v in document.items() if k != "checksum"}))
    except (ValueError, TypeError, KeyError, AttributeError):
        return files
    return files | {DOCUMENT: json.dumps(document).encode()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
