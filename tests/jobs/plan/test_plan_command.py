"""`matryoshka plan` on a source that is there, on one that is described, and on what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from adaptor.errors import InputError
from jobs.commits.work_items import Planner
from jobs.compress.shard import ShardCompressor
from jobs.config.loader import load
from jobs.config.plan import PlanConfig
from jobs.plan import command as plan
from tests.jobs.compress.workplace import Workplace, lists, table


def config(workplace: Workplace, **sections: object) -> PlanConfig:
    """A plan for the workplace, on one worker."""
    given = workplace.config().model_dump(include={"source", "adaptor", "output", "cluster"})
    return PlanConfig.model_validate(given | {"summary": {"uri": str(workplace.root / "plan")}} | sections)


def written(workplace: Workplace) -> dict[str, object]:
    """The one estimate of summary.json."""
    (found,) = json.loads((workplace.root / "plan" / "summary.json").read_text())["estimates"]
    return dict(found)


def test_it_counts_the_source_and_foresees_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workplace = Workplace(tmp_path)
    for number, rows in enumerate((400, 300, 500)):
        workplace.put(f"{number}.parquet", table(rows, seed=number), row_group_rows=100)
    (workplace.source / "3.parquet").write_bytes(b"not Parquet")
    (workplace.source / "ids.csv").write_text("id")
    assert plan.run(config(workplace, prices={"cpu_hour": 1, "currency": "EUR"})) == 0

    output = capsys.readouterr().out
    assert not (workplace.root / "output").exists()
    assert "unreadable and left out: 1 of the looked-at shards" in output
    assert "note: 1 file is not read: 1 of the kind CSV (ids.csv)" in output
    assert "EUR, total" in output
    (workplace.source / "3.parquet").unlink()
    found = written(workplace)
    assert found["shards"] == 4
    assert found["rows"] == pytest.approx(1200, abs=1 + float(str(found["rows_error"])))
    compressor = ShardCompressor(workplace.config())
    work = Planner(1 << 40, ".parquet").plan(compressor.context.source.shards(), [], (), {})
    records = [compressor.compress(item) for item in work.todo]
    assert found["output_bytes"] == pytest.approx(sum(record.output_bytes for record in records), rel=0.25)


def test_an_adaptor_of_another_dimension_is_refused(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    assert workplace.adaptor
    workplace.put("a.parquet", pa.table({"id": ["x"], "vector": lists([[1.0, 2.0]])}))
    with pytest.raises(InputError, match=r"have 2 dimensions \(a\.parquet\), the adaptor in .* takes 12"):
        plan.run(config(workplace))


def test_what_is_compressed_already_is_subtracted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workplace = Workplace(tmp_path)
    for number, rows in enumerate((400, 300, 500)):
        workplace.put(f"{number}.parquet", table(rows, seed=number), row_group_rows=100)
    split = {"reading": {"split_bytes": (workplace.source / "2.parquet").stat().st_size * 2 // 3}}
    compressor = ShardCompressor(workplace.config())
    source = compressor.context.source
    shards = source.shards()
    described = {"2.parquet": source.describe(shards[2])}
    items = Planner(split["reading"]["split_bytes"], ".parquet").plan(shards, [], (), described).todo
    done = [item for item in items if item.shard.key == "0.parquet" or (item.row_groups and not item.row_groups.start)]
    rows_done = sum(compressor.compress(item).rows_out for item in done)
    assert plan.run(config(workplace, **split)) == 0
    assert "less 1 compressed shard)" in capsys.readouterr().out
    found = written(workplace)
    assert found["shards"] == 2
    assert found["rows"] == pytest.approx(1200 - rows_done, abs=1)
    for item in items:
        compressor.compress(item)
    assert plan.run(config(workplace, **split)) == 0
    assert capsys.readouterr().out == "nothing is left to do: every shard is compressed\n"


def test_a_described_source_needs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = {"rows": [10**6, 10**9], "dim": 16, "output_dim": 4, "payload_bytes": 20, "row_group_bytes": 200_000}
    given = {
        "describe": described,
        "calibration": {"megabytes": 1},
        "cluster": {"workers": 1},
        "summary": {"uri": str(tmp_path)},
    }
    assert plan.run(PlanConfig.model_validate(given)) == 0
    small, large = json.loads((tmp_path / "summary.json").read_text())["estimates"]
    assert (small["rows"], large["rows"]) == (10**6, 10**9)
    assert small["input_bytes"] == pytest.approx(10**6 * (16 * 4 + 20 + 8), rel=0.01)
    assert 10**6 * (4 * 4 + 20 + 8) <= small["output_bytes"] <= 1.2 * 10**6 * (4 * 4 + 20 + 8)
    assert large["cpu_hours"] == pytest.approx(1000 * small["cpu_hours"], rel=0.1)
    assert large["requests"]["get"] > small["requests"]["get"] > 0
    assert "1,000,000,000" in capsys.readouterr().out


def test_a_source_without_rows_or_shards_is_told(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    workplace.source.mkdir()
    with pytest.raises(InputError, match=r"holds no Parquet file"):
        plan.run(config(workplace))
    workplace.put("empty.parquet", table(3, seed=0).slice(0, 0))
    with pytest.raises(InputError, match="none of 1 shards that were looked at holds a row"):
        plan.run(config(workplace))


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "give source, adaptor and output"),
        ([("source.uri", "x")], "give source, adaptor and output"),
        (
            [("source.uri", "x"), ("describe.rows", "5"), ("describe.dim", "4"), ("describe.output_dim", "2")],
            "without source",
        ),
        (
            [("describe.rows", "5"), ("describe.dim", "4"), ("describe.output_dim", "8")],
            "output_dim must be at most dim",
        ),
    ],
)
def test_either_a_source_or_a_description(flags: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load(PlanConfig, None, flags)
