"""A store from night to night: one command that fits, compresses, verifies, evaluates and promotes, and does nothing
twice; shards that change, go, are renamed, merged, drift; loaders that follow the feeds; a way back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.artefact import with_codes
from adaptor.code_fitting import fit_codes
from adaptor.drift import drift_reference
from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.commits.manifest import read_manifest
from jobs.commits.pointer import read_pointer
from jobs.commits.version_reader import OP, VersionReader
from jobs.config.run import RunConfig
from jobs.config.versions import VersionsConfig
from jobs.run import command
from jobs.storage.local import LocalObjects
from jobs.versions import command as versions
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor

pytestmark = pytest.mark.usefixtures("ray_cluster")

Rows = dict[str, list[Any]]


@dataclass
class Store:
    """A source below `root`, what a nightly job makes of it, and a loader that follows."""

    root: Path
    vectors: Floats
    checkpoint: int = 0

    def __post_init__(self) -> None:
        self.loaded: Rows = {}

    def put(self, shard: str, rows: range, vectors: Floats | None = None) -> None:
        """Write a shard of these rows, with their own vectors or others."""
        path = self.root / "source" / shard
        path.parent.mkdir(exist_ok=True)
        column = self.vectors[rows.start : rows.stop] if vectors is None else vectors
        lists = pa.FixedSizeListArray.from_arrays(pa.array(column.astype(np.float32).ravel()), column.shape[1])
        pq.write_table(pa.table({"id": [f"row-{row}" for row in rows], "vector": lists}), path)

    def config(self, **sections: Any) -> RunConfig:
        """The nightly job."""
        given: dict[str, Any] = {
            "source": {"uri": str(self.root / "source")},
            "adaptors": {"uri": str(self.root / "adaptors")},
            "output": {"uri": str(self.root / "out"), "dim": 32, "encoding": "int8"},
            "cluster": {"workers": 2},
        }
        for name, values in sections.items():
            given[name] = {**given.get(name, {}), **values} if isinstance(values, dict) else values
        return RunConfig.model_validate(given)

    def run(self, **sections: Any) -> dict[str, Any]:
        """A night; its summary."""
        assert command.run(self.config(**sections)) == 0
        return self.summary()

    def summary(self) -> dict[str, Any]:
        """What the last night says."""
        found: dict[str, Any] = json.loads((self.root / "out" / "summary.json").read_text())
        return found

    @property
    def folder(self) -> LocalObjects:
        """The output version in use."""
        pointer = read_pointer(LocalObjects(str(self.root / "out")))
        assert pointer is not None
        return LocalObjects(str(self.root / "out" / pointer.output_version))

    def follow(self) -> tuple[int, int]:
        """Apply the feeds since the last time; how many rows were upserted and deleted."""
        reader = VersionReader.open(self.folder)
        feeds = reader.manifest.feeds_since(self.checkpoint)
        if feeds is None:
            self.loaded, feeds = fresh(reader), []
        counts = [0, 0]
        for batch in (batch for feed in feeds for batch in reader.feed_batches(feed, 100)):
            for row in batch.to_pylist():
                counts[row[OP] == "delete"] += 1
                self.loaded.pop(row["id"], None)
                if row[OP] == "upsert":
                    self.loaded[row["id"]] = row["vector"]
        self.checkpoint = reader.manifest.sequence
        assert self.loaded == fresh(reader)
        return counts[0], counts[1]

    def globbed(self) -> list[str]:
        """Ids as a loader finds them that lists the files."""
        files = sorted((Path(self.folder.uri) / "data").rglob("*.parquet"))
        return sorted(pa.concat_tables([pq.read_table(file) for file in files])["id"].to_pylist())


def fresh(reader: VersionReader) -> Rows:
    """A full load."""
    rows = [row for file in reader.manifest.files for batch in reader.batches(file, 100) for row in batch.to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["vector"] for row in rows}


def ids(*parts: range) -> list[str]:
    """The ids of rows."""
    return sorted(f"row-{row}" for part in parts for row in part)


@pytest.fixture
def store(tmp_path: Path, scifact: Path) -> Store:
    """Five shards of bundled vectors, and an adaptor that is finished: these tests are not about the fit."""
    tables = [pq.read_table(path) for path in sorted((scifact / "corpus").glob("*.parquet"))[:4]]
    numbers = [table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False) for table in tables]
    vectors = np.concatenate(numbers).astype(np.float32).reshape(-1, 384)
    place = Store(tmp_path, vectors)
    for number in range(5):
        place.put(f"part-{number}.parquet", range(300 * number, 300 * number + 300))
    own, held_out = vectors[600:1500], vectors[:600]
    bare = make_adaptor(own, (16, 32, 64))
    records = [
        {
            "method": "adaptor",
            "dim": 32,
            "encoding": "int8",
            "metric": "overlap@10",
            "value": 0.6,
            "ci_low": 0.58,
            "ci_high": 0.62,
        }
    ]
    fitted = with_codes(
        bare, fit_codes(bare, own, held_out, 0), drift=drift_reference(bare, held_out), evidence=records
    )
    save_adaptor(fitted, tmp_path / "adaptors" / "0001")
    return place


def test_from_night_to_night(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first = store.run(evaluation={"sampled_queries": 20, "bootstrap": 20, "dims": [32]})
    assert list(first["steps"]) == ["compress", "verify", "evaluate", "promote"]
    assert (first["status"], first["sequence"], first["rows"]) == ("complete", 1, 1500)
    assert first["evidence"] == {
        "quality": {"overlap@10": {"value": 0.6, "ci_low": 0.58, "ci_high": 0.62}},
        "drift": "none",
        "drifted": {},
    }
    assert (store.root / "out" / "evaluation" / "metrics.json").is_file()
    store.follow()
    assert len(store.loaded) == 1500

    again = store.run(evaluation={"sampled_queries": 20, "bootstrap": 20, "dims": [32]})
    assert (list(again["steps"]), again["sequence"]) == (["compress"], 1)  # nothing is repeated
    assert store.follow() == (0, 0)

    source = store.root / "source"
    store.put("part-0.parquet", range(250))  # 50 rows vanish inside a shard
    changed = store.vectors[300:600].copy()
    changed[:7] = store.vectors[1600:1607]
    store.put("part-1.parquet", range(300, 600), changed)  # 7 rows have other vectors
    (source / "part-2.parquet").rename(source / "renamed.parquet")
    store.put("merged.parquet", range(900, 1500))  # two shards become one
    for number in (3, 4):
        (source / f"part-{number}.parquet").unlink()
    second = store.run()
    assert (second["sequence"], list(second["steps"])) == (2, ["compress", "verify", "promote"])
    assert store.follow() == (7, 50)
    expected = ids(range(250), range(300, 1500))
    assert store.globbed() == sorted(store.loaded) == expected

    versions.run(VersionsConfig.model_validate({"action": "rollback", "output": {"uri": str(store.root / "out")}}))
    pointer = read_pointer(LocalObjects(str(store.root / "out")))
    assert pointer is not None
    assert len(fresh(VersionReader.open(store.folder, pointer.sequence))) == 1500
    assert list(store.run()["steps"]) == ["compress"]  # what was rolled back stays so
    assert read_pointer(LocalObjects(str(store.root / "out"))) == pointer
    assert "in use: " in capsys.readouterr().out


def test_drift_is_told_and_held_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.run()
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(384, 384)))[0].astype(np.float32)
    store.put("foreign.parquet", range(1500, 1575), store.vectors[1500:1575] @ rotation)  # 5% of the rows
    weak = np.linalg.svd(store.vectors[:1500], full_matrices=False)[2][150:240]
    topic = store.vectors[:1] + 0.06 * np.random.default_rng(1).normal(size=(300, 90)) @ weak
    store.put("topic.parquet", range(1600, 1900), topic)
    for _ in range(2):  # what was compressed meanwhile is not forgotten by the next run
        with pytest.raises(
            InputError, match=r"1 shard of another space: foreign\.parquet \(\d+% of its rows\).*nothing was"
        ):
            command.run(store.config(quality={"on_drift": "stop"}))
        assert (store.summary()["status"], read_manifest(store.folder).sequence) == ("failed", 1)
    with pytest.raises(InputError, match="of another space"):  # a fit cannot help
        command.run(store.config(quality={"on_drift": "refit"}))
    capsys.readouterr()
    with pytest.raises(InputError, match=r"@2 is not promoted: it holds vectors of another space"):
        command.run(store.config())
    printed = capsys.readouterr().out
    assert "note: drift: 1 shard of another space: foreign.parquet" in printed
    assert "note: drift: 1 shard on another topic: topic.parquet (overlap@10 0." in printed
    pointer = read_pointer(LocalObjects(str(store.root / "out")))
    assert pointer is not None
    assert (pointer.sequence, read_manifest(store.folder).evidence["drift"]) == (1, "space")
    summary = json.loads(store.folder.read("summary.json"))
    assert (list(summary["drift"]["space"]), list(summary["drift"]["topic"])) == (
        ["foreign.parquet"],
        ["topic.parquet"],
    )
    store.put("part-4.parquet", range(1200, 1499))
    with pytest.raises(InputError, match=r"@3 is not promoted: it holds vectors of another space"):
        command.run(store.config())  # they are still there
    (store.root / "source" / "foreign.parquet").unlink()
    assert store.run()["sequence"] == 4  # repaired: in use again
    store.follow()
    assert store.globbed() == ids(range(1499), range(1600, 1900))


def test_another_topic_brings_another_adaptor(store: Store) -> None:
    store.run()
    weak = np.linalg.svd(store.vectors[:1500], full_matrices=False)[2][150:240]
    topic = store.vectors[:1] + 0.06 * np.random.default_rng(1).normal(size=(600, 90)) @ weak
    store.put("topic.parquet", range(1600, 2200), topic.astype(np.float32))
    fit: dict[str, Any] = {"adaptor": {"dims": [16, 32, 64]}, "training": {"steps": 20}}
    night = store.run(quality={"on_drift": "refit"}, fit=fit)
    assert list(night["steps"]) == ["compress", "fit", "verify", "promote"]
    assert (night["sequence"], night["rows"]) == (1, 2100)
    assert {path.name for path in (store.root / "adaptors").iterdir()} == {"0001", "0002"}
    assert len([path for path in (store.root / "out").iterdir() if path.name.endswith("d32-int8")]) == 2
    store.checkpoint = 0
    store.follow()
    assert store.globbed() == ids(range(1500), range(1600, 2200))
    assert list(store.run(quality={"on_drift": "refit"}, fit=fit)["steps"]) == ["compress"]
