"""An output version, an engine, and the command between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jobs.config.export import ExportConfig
from jobs.export.command import run
from tests.jobs.export.engines import Engine, exact_distances, overlap
from tests.jobs.export.versions import VersionMaker, new_adaptor, rows_of, save, vectors

ADAPTOR, OTHER_ADAPTOR = new_adaptor(), new_adaptor(1)


class Day:
    """A version in `folder` and how it is exported into the collection `name`."""

    def __init__(self, engine: Engine, name: str, folder: Path, encoding: str | None = None, **maker: Any) -> None:
        self.engine, self.name, self.folder = engine, name, folder
        encoding = encoding or engine.encodings[0]
        integers = engine.target != "faiss"
        self.maker = VersionMaker(folder / "version", ADAPTOR, encoding, integers=integers, **maker)
        self.batch_rows = 40
        self.first = self.day(90, 70)

    @staticmethod
    def day(first: int, second: int) -> dict[str, Any]:
        """Two shards with so many rows."""
        return {"a.parquet": rows_of(first, 1), "b.parquet": rows_of(second, 2, start=first)}

    def config(self, **changes: Any) -> ExportConfig:
        """The configuration of export; sections are laid over these, `destination` field by field."""
        sections: dict[str, Any] = {
            "target": self.engine.target,
            "version": {"uri": str(self.folder / "version")},
            "batch_rows": self.batch_rows,
        }
        destination = {"uri": self.engine.uri, "collection": self.name, **self.engine.settings}
        sections["destination"] = destination | changes.pop("destination", {})
        if self.engine.target == "faiss":
            sections["adaptor"] = {"uri": save(self.maker.adaptor, self.folder / "adaptor")}
        return ExportConfig.model_validate(sections | changes)

    def export(self, **changes: Any) -> None:
        """Run the command."""
        assert run(self.config(**changes)) == 0

    def second(self) -> dict[str, Any]:
        """A day later: rows deleted, changed, added and moved to another shard."""
        a, b = dict(self.first["a.parquet"]), dict(self.first["b.parquet"])
        some = list(a)
        quarter = len(some) // 4
        for row in some[:quarter:2]:
            del a[row]
        for row, again in zip(some[1:quarter:2], rows_of(quarter, 3).values(), strict=False):
            a[row] = again
        b[some[-1]] = a.pop(some[-1])
        return {"a.parquet": a, "b.parquet": b | rows_of(len(b) // 5, 4, start=500)}

    def check(self) -> None:
        """The engine holds exactly the rows of the version, and finds them."""
        held = self.engine.held(self.name, self.maker)
        assert sorted(held) == sorted(map(str, self.maker.rows))
        codec = self.maker.adaptor.codec(dim=self.maker.dim, encoding=self.maker.encoding)
        codes = codec.encode(np.array([row["full"] for row in self.maker.rows.values()]))
        if self.engine.target == "faiss":
            codes = codec.reconstruct(codes)
            codes /= np.linalg.norm(codes, axis=1, keepdims=True)
        there = np.array([held[row] for row in map(str, self.maker.rows)])
        np.testing.assert_allclose(there, codes, atol=1e-3 if self.maker.encoding == "float16" else 1e-6)
        queries = vectors(20, 99)
        found = self.engine.search(self.name, self.maker, queries, 10)
        assert overlap(found, exact_distances(self.maker, queries), 10) >= 0.999
