"""What the benchmarks measure with is itself checked: costs over a tree of processes, tables, sources."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.sources import VECTOR_TYPES, SourceShape, VectorType, make_source
from tests.benchmarks.throughput_report import Record, table

HERE = Path(__file__).parent
PROGRAMS = sorted(file.stem for file in HERE.glob("*.py") if '\nif __name__ == "__main__"' in file.read_text())

# A child works for half a CPU-second holding 200 MB and then waits to be looked at; its parent does not wait for it.
_LEAVES_A_CHILD = """
import os, sys, time
done, tell = os.pipe()
if os.fork() == 0:
    held = b"x" * 200_000_000
    while time.process_time() < 0.5: pass
    os.write(tell, b"!")
    time.sleep(1)
    os._exit(0)
os.read(done, 1)
time.sleep(0.5)
sys.exit(3)
"""


# In a process of its own, which may become the reaper of its descendants; with a child that was there before.
_MEASURES = """
import json, os, subprocess, sys
from dataclasses import asdict
from pathlib import Path
from tests.benchmarks import process_tree
before = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
usage = process_tree.run([sys.executable, "-c", sys.argv[1]], os.environ, Path(), Path(os.devnull))
left = [process.pid for process in process_tree.descendants()]
before.kill()
print(json.dumps(asdict(usage) | {"only_the_old_one_is_left": left == [before.pid]}))
"""


def test_processes_that_nobody_waits_for_count(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURES, _LEAVES_A_CHILD], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    usage = json.loads(done.stdout)
    assert usage["status"] == 3
    assert usage["cpu_seconds"] >= 0.4
    assert usage["peak_rss_bytes"] > 200_000_000
    assert usage["seconds"] > 0.4
    assert usage["only_the_old_one_is_left"]


@pytest.mark.parametrize("vectors", VECTOR_TYPES)
def test_a_store_has_the_shape_that_was_asked_for(vectors: VectorType, tmp_path: Path) -> None:
    shape = SourceShape.even(rows=250, rows_per_file=100, input_dim=24, row_group_rows=40, vectors=vectors)
    size = make_source(tmp_path / "source", shape)
    files = [pq.ParquetFile(path) for path in sorted((tmp_path / "source").iterdir())]
    assert [file.metadata.num_rows for file in files] == [100, 100, 50]
    assert [files[0].metadata.row_group(index).num_rows for index in range(3)] == [40, 40, 20]
    assert size == sum(path.stat().st_size for path in (tmp_path / "source").iterdir())
    kind = str(files[0].schema_arrow.field("vector").type)
    assert {"list": "list<", "fixed_size_list": "fixed_size_list<", "float16": "fixed_size_list<"}[vectors] in kind
    assert ("halffloat" in kind) == (vectors == "float16")
    whole = pq.read_table(tmp_path / "source")
    assert whole.column("id").to_pylist() == list(range(250))
    rows = np.array(whole.column("vector").to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=2e-3)
    assert np.linalg.norm(rows.mean(axis=0)) > 0.2  # real embeddings share a direction


def test_the_table_subtracts_the_startup() -> None:
    def record(variant: str, case: str, size: int, seconds: float, cpu: float) -> Record:
        startup = case == "startup"
        return Record(f"local-list-{case}", variant, 1 if startup else 1000, 8, 4, size, seconds, 2.0, cpu, 10**8, 0)

    lines = table(
        [
            record("slow", "startup", 0, 2.0, 1.0),
            record("slow", "full", 10**9, 12.0, 7.0),
            record("fast", "startup", 0, 10.0, 5.0),
            record("fast", "full", 10**9, 15.0, 8.0),
        ],
        "slow",
    ).splitlines()
    slow, fast = lines[2].split(), lines[3].split()
    assert slow == ["slow", "100", "(100", "-", "100)", "1.00", "6.00", "1.00", "2.0", "1.0", "100"]
    assert fast == ["fast", "200", "(200", "-", "200)", "2.00", "3.00", "0.50", "10.0", "5.0", "100"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_benchmark_says_how_it_is_started(name: str) -> None:
    assert f"python -m tests.benchmarks.{name} " in (HERE / f"{name}.py").read_text()
    readme = (HERE / "README.md").read_text()
    assert f"| `{name}` |" in readme or f"python -m tests.benchmarks.{name}`" in readme


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_benchmark_starts_so(name: str, root: Path) -> None:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage:" in done.stdout
