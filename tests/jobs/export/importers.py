"""What the importers of databases make of the files that export writes, as their documentation says.

Each stands for an engine of test_engines.py: parts in the order of their names, the last word on an id counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq

from adaptor.rows import Floats
from tests.jobs.export.versions import VersionMaker


@dataclass
class Importer:
    """The part that all have in common."""

    uri: str
    target: ClassVar[str]
    encodings: ClassVar[tuple[str, ...]]
    settings: ClassVar[dict[str, Any]] = {}

    def documents(self, name: str, maker: VersionMaker) -> dict[str, dict[str, Any]]:
        """All documents, with `vector` and payload, by id."""
        raise AssertionError("each importer reads its own files")

    def held(self, name: str, maker: VersionMaker) -> dict[str, Any]:
        """All vectors; signed bytes of bits as unsigned ones."""
        found = {row: document["vector"] for row, document in self.documents(name, maker).items()}
        if maker.encoding == "binary":
            return {row: np.array(vector, np.int8).view(np.uint8).tolist() for row, vector in found.items()}
        return found

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """Brute force over what was imported."""
        held = self.held(name, maker)
        matrix: Any = np.array(list(held.values()), np.uint8 if maker.encoding == "binary" else np.float32)
        codec = maker.adaptor.codec(dim=maker.dim, encoding=maker.encoding)
        asked = codec.transform(queries) if maker.encoding.startswith("float") else codec.encode(queries)
        if maker.encoding == "binary":
            scores = -np.array([np.bitwise_count(matrix ^ query).sum(axis=1) for query in asked]).astype(np.float32)
        else:
            scores = asked.astype(np.float32) @ matrix.T / np.linalg.norm(matrix, axis=1)
        names = list(held)
        return [[names[row] for row in order[:k]] for order in np.argsort(-scores, axis=1, kind="stable")]

    def parts(self, name: str) -> Iterator[Path]:
        """All parts in the order of their names."""
        folder = Path(self.uri) / name
        assert (folder / "export.json").exists()
        yield from sorted(path for path in folder.rglob("*-*") if path.is_file() and path.name != "export.json")

    def lines(self, path: Path) -> list[dict[str, Any]]:
        """The JSON lines of a part."""
        return [json.loads(line) for line in path.read_text().splitlines()]


class BulkImporter(Importer):
    """Elasticsearch's _bulk."""

    target: ClassVar[str] = "elasticsearch"
    encodings: ClassVar[tuple[str, ...]] = ("float32", "float16", "int8", "binary")

    def documents(self, name: str, maker: VersionMaker) -> dict[str, dict[str, Any]]:
        """Actions, index with a document behind."""
        found: dict[str, dict[str, Any]] = {}
        for path in self.parts(name):
            lines = iter(self.lines(path))
            for action in lines:
                ((kind, target),) = action.items()
                if kind == "index":
                    found[target["_id"]] = next(lines)
                else:
                    assert kind == "delete"
                    found.pop(target["_id"], None)
        return found


class OpenSearchImporter(BulkImporter):
    """The same."""

    target: ClassVar[str] = "opensearch"
    encodings: ClassVar[tuple[str, ...]] = ("int8",)


class VespaImporter(Importer):
    """`vespa feed`."""

    target: ClassVar[str] = "vespa"
    encodings: ClassVar[tuple[str, ...]] = ("int8", "float32", "binary")

    def documents(self, name: str, maker: VersionMaker) -> dict[str, dict[str, Any]]:
        """Puts, updates with create, removes."""
        found: dict[str, dict[str, Any]] = {}
        for path in self.parts(name):
            for operation in self.lines(path):
                kind = next(kind for kind in ("put", "update", "remove") if kind in operation)
                head, _, document = operation[kind].partition("::")
                assert head == f"id:{name}:{name}"
                if kind == "remove":
                    found.pop(document, None)
                elif kind == "put":
                    fields = operation["fields"]
                    found[document] = fields | {"vector": fields["vector"]["values"]}
                else:
                    assert operation["create"] is True
                    changed = {field: change["assign"] for field, change in operation["fields"].items()}
                    old = found.get(document, {})
                    found[document] = old | changed | {"vector": changed["vector"]["values"]}
        return found


class PineconeImporter(Importer):
    """Import of Parquet files, and delete requests."""

    target: ClassVar[str] = "pinecone"
    encodings: ClassVar[tuple[str, ...]] = ("float16", "float32")

    def documents(self, name: str, maker: VersionMaker) -> dict[str, dict[str, Any]]:
        """Columns id, values, metadata."""
        found: dict[str, dict[str, Any]] = {}
        for path in self.parts(name):
            assert path.parent.name == name  # the namespace
            if path.suffix == ".ndjson":
                for body in self.lines(path):
                    assert body["namespace"] == name
                    assert len(body["ids"]) <= 1000
                    for row in body["ids"]:
                        found.pop(row, None)
                continue
            for row in pq.read_table(path).to_pylist():
                found[row["id"]] = json.loads(row["metadata"]) | {"vector": row["values"]}
        return found


class MilvusImporter(Importer):
    """bulk_import, and deletes by filter."""

    target: ClassVar[str] = "milvus-files"
    encodings: ClassVar[tuple[str, ...]] = ("float16", "float32", "int8", "binary")

    def documents(self, name: str, maker: VersionMaker) -> dict[str, dict[str, Any]]:
        """Columns id, vector and $meta."""
        found: dict[str, dict[str, Any]] = {}
        for path in self.parts(name):
            if path.suffix == ".ndjson":
                for body in self.lines(path):
                    column, _, listed = body["filter"].partition(" in ")
                    assert column == "id"
                    for row in json.loads(listed):
                        found.pop(str(row), None)
                continue
            for row in pq.read_table(path).to_pylist():
                vector = row["vector"]
                if maker.encoding == "float16":
                    vector = np.array(vector, np.uint8).view("<f2").tolist()
                if maker.encoding == "binary":
                    vector = np.array(vector, np.uint8).view(np.int8).tolist()
                found[str(row["id"])] = json.loads(row["$meta"]) | {"vector": vector}
        return found


IMPORTERS = (BulkImporter, OpenSearchImporter, VespaImporter, PineconeImporter, MilvusImporter)
