"""What inspect finds in a source, and that it says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from adaptor.rows import Floats, unit_rows
from jobs.config.inspect import InspectConfig
from jobs.encodings.registry import ENCODINGS
from jobs.inspect import command
from jobs.inspect.geometry import off_centre, spectrum
from jobs.inspect.trial import trial
from jobs.inspect.two_spaces import two_spaces
from tests.jobs.sources.parquet_files import write

DIM = 48


def cloud(rows: int, seed: int = 0, dim: int = DIM) -> Floats:
    """Unit vectors whose directions matter less and less, around a common one."""
    draws = np.random.default_rng(seed)
    vectors = draws.normal(size=(rows, dim)) / np.arange(1, dim + 1) + 0.3 / np.sqrt(dim)
    return unit_rows(vectors.astype(np.float32))


def rotated(vectors: Floats, seed: int = 5) -> Floats:
    dim = vectors.shape[1]
    matrix = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]
    return vectors @ matrix.astype(np.float32)


def save(path: Path, vectors: Any, ids: list[Any] | None = None, **options: Any) -> None:
    names = [f"{path.name}-{row}" for row in range(len(vectors))] if ids is None else ids
    content = pa.table({"id": names, "vector": pa.array(list(vectors), pa.list_(pa.float32()))})
    write(path, content, **options)


def inspected(folder: Path, capsys: pytest.CaptureFixture[str], **sections: Any) -> dict[str, Any]:
    """The facts, as JSON."""
    inspection = {"report": "json", **sections.pop("inspection", {})}
    source = {"uri": str(folder), **sections.pop("source", {})}
    config = InspectConfig.model_validate({"source": source, "inspection": inspection, **sections})
    assert command.run(config) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The facts, as text on one line."""
    assert command.run(InspectConfig.model_validate({"source": {"uri": str(folder)}})) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    return " ".join(out.split())


def test_a_clean_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in range(3):
        save(tmp_path / f"{part}.parquet", cloud(400, part), row_group_size=150)
    facts = inspected(tmp_path, capsys)
    assert (facts["format"], facts["shards"], facts["rows"], facts["dim"]) == ("parquet", 3, 1200, DIM)
    assert facts["looked_at"] == {"shards": 3, "rows": 1200}
    assert facts["ids"] == {"type": "string", "null": 0, "doubled": 0, "nearly_doubled": 0}
    assert (facts["unusable_vectors"], facts["equal_vectors"], facts["unreadable_shards"]) == ({}, 0, [])
    assert facts["dimensions"]["constant"] == []
    assert facts["two_spaces"]["suspected"] is False
    assert facts["lengths"]["unit_share"] == 1.0
    text = told(tmp_path, capsys)
    assert "parquet, 3 shards" in text
    assert "1,200 rows of 48 numbers" in text
    assert "none of these vectors" in text
    assert "spaces one, as far as this sample tells" in text


def test_what_users_are_surprised_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = cloud(500)
    vectors[:, [3, 40]] = 0
    vectors[:, 7] = 9.0
    vectors[20] = vectors[21]
    rows: list[Any] = list(vectors)
    rows[0], rows[1], rows[2] = None, vectors[1] * np.nan, vectors[2][:-1]
    ids: list[Any] = [f"Doc {row}" for row in range(500)]
    ids[10], ids[11], ids[12], ids[13] = None, "Doc 14", "doc 15", "Doc16"
    save(tmp_path / "a.parquet", rows, ids)
    facts = inspected(tmp_path, capsys)
    assert facts["unusable_vectors"] == {"null vector": 1, "NaN": 1, "wrong length 47 (expected 48)": 1}
    assert facts["dimensions"] == {"constant": [3, 7, 40], "dominant": [7]}
    assert facts["equal_vectors"] == 1
    assert facts["ids"] == {"type": "string", "null": 1, "doubled": 1, "nearly_doubled": 2}
    assert facts["off_centre"] > 0.9
    assert facts["lengths"]["unit_share"] == 0
    text = told(tmp_path, capsys)
    for part in (
        "1 null, 1 doubled, 2 like another but for case or blanks",
        "dead dims 3 never change: 3, 7, 40",
        "dominant dims that hold most of the squares: 7",
        "duplicates 1 row with a vector that came before",
        "all vectors share one direction",
    ):
        assert part in text


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_two_spaces_in_one_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scifact: Path, share: float
) -> None:
    table = pq.read_table(scifact / "corpus")
    vectors = np.array(table["vector"].to_pylist(), np.float32)[:1600]
    strange = round(share * len(vectors))
    save(tmp_path / "a.parquet", vectors[strange:])
    save(tmp_path / "b.parquet", rotated(vectors[:strange]))
    facts = inspected(tmp_path, capsys)
    assert facts["two_spaces"]["suspected"] is True
    assert abs(facts["two_spaces"]["share"] - share) < 0.08
    assert "spaces TWO are suspected" in told(tmp_path, capsys)


@pytest.mark.parametrize("seed", range(5))
def test_topics_of_one_model_are_one_space(scifact: Path, seed: int) -> None:
    vectors = np.array(pq.read_table(scifact / "corpus")["vector"].to_pylist(), np.float32)
    rows = np.random.default_rng(seed).permutation(len(vectors))[:1500]
    assert not two_spaces(vectors[rows]).suspected
    direction = vectors[rows[0]]
    topic = rows[np.argsort(-vectors[rows] @ direction)[:300]]  # one topic, and a few of all others
    assert not two_spaces(np.concatenate([vectors[topic], vectors[rows[-700:]]])).suspected


def test_few_rows_are_no_proof() -> None:
    assert not two_spaces(np.concatenate([cloud(50), rotated(cloud(50))])).suspected


def test_the_spectrum_of_a_known_cloud() -> None:
    vectors = np.zeros((1000, 20), np.float32)
    vectors[:, :4] = np.random.default_rng(0).normal(size=(1000, 4))
    found = spectrum(vectors, "l2")
    assert found["directions_for_90_percent"] == 4
    assert found["participation_ratio"] == pytest.approx(4, rel=0.05)
    assert found["share_of_squares"] == {16: pytest.approx(1), 20: pytest.approx(1)}
    assert off_centre(vectors) < 0.1
    assert off_centre(np.ones((10, 3), np.float32)) == pytest.approx(1)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_dims_and_encodings_worth_trying(metric: Any) -> None:
    found = trial(cloud(600, dim=96), metric)
    assert found is not None
    kept = list(found.kept.values())
    assert list(found.kept) == [16, 32, 64]
    assert kept == sorted(kept)
    assert 0.3 < kept[0] < kept[-1] <= 1
    floats = {pair.dim: pair for pair in found.pairs if pair.encoding == "float32"}
    assert {*floats} <= {*found.kept}
    for dim, pair in floats.items():
        assert pair.bytes == 4 * dim
        assert pair.kept == pytest.approx(found.kept[dim], abs=0.01)
    assert {pair.encoding for pair in found.pairs} == {*ENCODINGS}
    front = found.worth_trying
    assert front == sorted(front, key=lambda pair: (pair.bytes, pair.kept))
    assert front[-1].kept == pytest.approx(max(pair.kept for pair in found.pairs), abs=0.006)
    assert front[0].bytes < 64  # codes come before floats
    assert trial(cloud(10), metric) is None


def test_rows_come_from_all_over_the_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in range(10):
        save(tmp_path / f"{part}.parquet", cloud(300 if part else 3, part), row_group_size=100)
    facts = inspected(tmp_path, capsys, inspection={"sample_rows": 200, "shards": 4})
    command.run(InspectConfig.model_validate({"source": {"uri": str(tmp_path)}, "inspection": {"shards": 4}}))
    assert "about 2,6" in " ".join(capsys.readouterr().out.split())
    assert (facts["looked_at"], facts["rows_are_exact"]) == ({"shards": 4, "rows": 200}, False)
    assert abs(facts["rows"] - 2703) < 900


def test_a_shard_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.parquet", cloud(100))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "c.csv").write_text("a,b")
    facts = inspected(tmp_path, capsys, output={"uri": str(tmp_path / "_out")})
    assert len(facts["unreadable_shards"]) == 1
    assert "b.parquet is truncated" in facts["unreadable_shards"][0]
    assert facts["notes"] == ["1 file is not read: 1 of the kind CSV (c.csv)"]
    assert json.loads((tmp_path / "_out" / "inspection.json").read_text()) == facts
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InputError, match=r"b\.parquet is truncated"):
        inspected(tmp_path, capsys)


def test_integer_ids_and_a_source_without_usable_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.parquet", np.zeros((5, 8), np.float32), [1, 2, 2, 4, 5])
    facts = inspected(tmp_path, capsys)
    assert (facts["ids"]["type"], facts["unusable_vectors"]) == ("int64", {"zero vector": 5})
    assert "lengths" not in facts
    assert "unusable 5 zero vector" in told(tmp_path, capsys)


def test_the_command_needs_no_ray(tmp_path: Path, root: Path) -> None:
    save(tmp_path / "a.parquet", cloud(100))
    program = (
        "import sys; from jobs.__main__ import main; status = main(); "
        "print(sorted({'ray', 'torch'} & {*sys.modules}), file=sys.stderr); sys.exit(status)"
    )
    command_line = [sys.executable, "-c", program, "inspect", "--source.uri", str(tmp_path)]
    done = subprocess.run(command_line, cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert "100 rows of 48 numbers" in " ".join(done.stdout.split())


def test_a_table_says_its_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    content = pa.table({"id": [str(row) for row in range(80)], "vector": pa.array(list(cloud(80)))})
    deltalake.write_deltalake(tmp_path / "t", content)
    facts = inspected(tmp_path / "t", capsys, source={"format": "delta"})
    assert (facts["snapshot"], facts["rows"]) == ("0", 80)
    assert facts["notes"] == ["version 0 of the Delta table is read: 1 live file"]
