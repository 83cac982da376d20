"""A source format, an encoding and an output format of one file and one registry line each carry every verb."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import adaptor
from adaptor.rows import Floats, unit_rows

ROWS, DIM = 240, 16
VERBS = ("fit", "plan", "compress", "verify", "advise", "evaluate")


@pytest.fixture(scope="module")
def vectors() -> Floats:
    """(ROWS, DIM) float32 of length 1."""
    return unit_rows(np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32))


def write(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write one CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def texts(rows: Floats) -> list[str]:
    """Vectors as the toy format has them, digits enough for float32."""
    return [" ".join(map(repr, row)) for row in rows.astype(float).tolist()]


@pytest.fixture(scope="module")
def folder(vectors: Floats, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all verbs left behind."""
    folder = tmp_path_factory.mktemp("doors")
    for part, rows in enumerate(np.array_split(np.arange(ROWS), 3)):
        ids, payload = [f"row-{row}" for row in rows], [f"payload {row}" for row in rows]
        columns = {"id": ids, "vector": texts(vectors[rows]), "payload": payload}
        write(folder / "source" / f"part-{part}.csv", columns)
    write(folder / "queries" / "all.csv", {"id": ["a", "b"], "vector": texts(vectors[:2] + 0.01)})
    write(folder / "qrels" / "all.csv", {"query_id": ["a", "b"], "doc_id": ["row-0", "row-1"], "grade": [1, 1]})
    toys = root / "tests" / "toy_doors"
    environment = {**os.environ, "PYTHONPATH": f"{toys}:{root}"}
    command = [sys.executable, str(toys / "every_verb.py"), str(folder)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240)
    assert [line for line in done.stdout.splitlines() if line.endswith(": 0")] == [f"{v}: 0" for v in VERBS], (
        done.stdout + done.stderr
    )
    return folder


def test_every_row_comes_out_once_in_the_encoding_and_the_format(folder: Path, vectors: Floats) -> None:
    (version,) = (folder / "short").iterdir()
    assert version.name.endswith("-d4-thousandths")
    tables = [pa.ipc.open_file(str(path)).read_all() for path in sorted((version / "data").iterdir())]
    names = [path.name for path in sorted((version / "data").iterdir())]
    assert [re.sub(r"\.[0-9a-f]{16}\.", ".", name) for name in names] == [f"part-{n}.csv.arrow" for n in range(3)]
    table = pa.concat_tables(tables)
    assert table["id"].to_pylist() == [f"row-{row}" for row in range(ROWS)]
    assert table["payload"].to_pylist() == [f"payload {row}" for row in range(ROWS)]
    expected = np.rint(adaptor.load(folder / "adaptor").transform(vectors, dim=4) * 1000)
    np.testing.assert_allclose(np.array(table["vector"].to_pylist()), expected, atol=1)


def test_verify_saw_all_of_it(folder: Path) -> None:
    (version,) = (folder / "short").iterdir()
    summary = json.loads((version / "_verify" / "summary.json").read_text())
    assert (summary["status"], summary["rows"], set(summary["checks"].values())) == ("complete", ROWS, {"ok"})


def test_advise_counts_the_bytes_of_the_encoding(folder: Path) -> None:
    advice = json.loads((folder / "advice" / "advice.json").read_text())
    assert {(pair["dim"], pair["encoding"]): pair["bytes"] for pair in advice["pairs"]}[4, "thousandths"] == 8


def test_evaluate_found_the_judged_rows(folder: Path) -> None:
    records = json.loads((folder / "evaluation" / "metrics.json").read_text())
    original = {record["metric"]: record["value"] for record in records if record["method"] == "original"}
    assert original["ndcg@10"] == 1.0
