"""A small source with an adaptor beside it, and what a compress run over it left behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor, with_codes
from adaptor.code_fitting import fit_codes
from adaptor.rows import Floats
from jobs.commits.ledger import LedgerRecord, list_names, read_record
from jobs.commits.manifest import MANIFEST, OutputFile, manifest_key, read_manifest
from jobs.commits.output_version import open_output_version
from jobs.compress import command as compress
from jobs.config.compress import CompressConfig
from jobs.config.verify import VerifyConfig
from jobs.sources.source import Shard, open_source
from jobs.storage.objects import Objects
from jobs.verify import command as verify
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor

DIM, OUTPUT_DIM = 12, 5
#: Outputs of at most 6 columns are made of the first 8 by a matrix of their own.
NARROW = (8, 6)


def vectors(rows: int, seed: int = 0) -> Floats:
    """(rows, DIM) float32 of length about 3."""
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)


def lists(rows: Iterable[Any], kind: pa.DataType | None = None) -> pa.Array:
    """A vector column from rows of numbers or None."""
    return pa.array([None if row is None else list(row) for row in rows], kind or pa.list_(pa.float32()))


def table(rows: int, seed: int, prefix: str = "row") -> pa.Table:
    """`rows` rows with ids of their own and payload columns of several types."""
    counting = range(rows)
    return pa.table(
        {
            "payload": pa.array([{"n": row, "tags": ["a"] * (row % 3)} for row in counting]),
            "id": [f"{prefix}-{seed}-{row}" for row in counting],
            "vector": lists(vectors(rows, seed)),
            "price": pa.array([Decimal(row) / 4 for row in counting], pa.decimal128(20, 2)),
        }
    )


@dataclass(frozen=True)
class Workplace:
    """Folders `source`, `adaptor` and `output` below `root`."""

    root: Path

    @property
    def source(self) -> Path:
        """Folder of the shards."""
        return self.root / "source"

    @cached_property
    def adaptor(self) -> Adaptor:
        """The adaptor that `set_adaptor` made."""
        return self.set_adaptor()

    def set_adaptor(self, seed: int = 9, **options: Any) -> Adaptor:
        """Make (another) adaptor and save it: of the orthogonal architecture, with a low-dimensional head."""
        options = {"architecture": "orthogonal", "head": NARROW, **options}
        adaptor = make_adaptor(vectors(200, seed), (4, 8), **options)
        adaptor = with_codes(adaptor, fit_codes(adaptor, vectors(200, seed), vectors(50, seed + 1), 0))
        save_adaptor(adaptor, self.root / "adaptor")
        self.__dict__["adaptor"] = adaptor
        return adaptor

    def exact(self, wide: Any) -> npt.NDArray[np.float64]:
        """What the adaptor makes of rows (n, DIM), (n, OUTPUT_DIM) not normalised, in float64."""
        linear, head = (self.adaptor.tensors[name].astype(np.float64) for name in ("linear", "head"))
        exact: npt.NDArray[np.float64] = (np.asarray(wide, np.float64) @ linear)[:, : NARROW[0]] @ head[:, :OUTPUT_DIM]
        return exact

    def shards(self) -> list[Shard]:
        """The shards of the source as they are now."""
        return open_source(self.config().source).shards()

    def put(self, key: str, content: pa.Table, row_group_rows: int = 10) -> Path:
        """Write a shard."""
        path = self.source / key
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(content, path, row_group_size=row_group_rows)
        return path

    def config(self, **sections: Any) -> CompressConfig:
        """A configuration of compress; sections are laid over the folders here."""
        return CompressConfig.model_validate(self._sections(sections))

    def verify_config(self, **sections: Any) -> VerifyConfig:
        """The configuration of verify for the same folders."""
        return VerifyConfig.model_validate(self._sections(sections))

    def compress(self, worker: type[Any] | None = None, **sections: Any) -> int:
        """Run compress in this process."""
        return compress.run(self.config(**sections), worker)

    def verify(self, **sections: Any) -> tuple[int, dict[str, Any]]:
        """Run verify in this process: exit status and summary."""
        status = verify.run(self.verify_config(**sections))
        content = self.output_version(**sections).read("_verify/summary.json")
        summary: dict[str, Any] = json.loads(content)
        return status, summary

    def output_version(self, **sections: Any) -> Objects:
        """The folder that such a run writes to."""
        config = self.config(**{name: part for name, part in sections.items() if name != "verification"})
        return open_output_version(config.output, self.adaptor)

    def records(self, **sections: Any) -> list[LedgerRecord]:
        """All records, by output key."""
        there = self.output_version(**sections)
        return sorted((read_record(there, name) for name in list_names(there)), key=lambda record: record.output)

    def reseal_manifest(self) -> None:
        """Make the manifest say what the records say."""
        there = self.output_version()
        manifest = replace(read_manifest(there), files=[OutputFile.of(record) for record in self.records()])
        for key in (MANIFEST, manifest_key(manifest.sequence)):
            there.put(key, manifest.to_json())

    def output(self, key: str, **sections: Any) -> pa.Table:
        """The output file of a shard, or one by its key below `data/`."""
        return pq.read_table(self.output_path(key, **sections))

    def output_path(self, key: str, **sections: Any) -> Path:
        """Where the output of a shard is, or the one with this key below `data/`."""
        return Path(self.output_version(**sections).path(self.output_key(key, **sections)))

    def output_key(self, key: str, **sections: Any) -> str:
        """The key of the output of a shard."""
        named = [record.output for record in self.records(**sections) if record.shard == key]
        return named[0] if len(named) == 1 else f"data/{key}"

    def bytes_below(self, *prefixes: str, **sections: Any) -> dict[str, bytes]:
        """Content of all objects of the output version below these prefixes."""
        there = self.output_version(**sections)
        return {info.key: there.read(info.key) for prefix in prefixes for info in there.list(prefix)}

    def _sections(self, given: dict[str, Any]) -> dict[str, Any]:
        assert self.adaptor
        folders: dict[str, dict[str, Any]] = {
            "source": {"uri": str(self.source)},
            "adaptor": {"uri": str(self.root / "adaptor")},
            "output": {"dim": OUTPUT_DIM, "uri": str(self.root / "output"), "row_group_rows": 16},
            "cluster": {"workers": 1},
        }
        return folders | {name: {**folders.get(name, {}), **section} for name, section in given.items()}
