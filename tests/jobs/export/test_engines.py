"""What every target must do, with the real engine: full load, search, feeds, resume after a crash anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptor.errors import InputError
from jobs.export import command
from jobs.export.target import open_target
from tests.jobs.export.crashing import Crash, CrashingTarget
from tests.jobs.export.days import OTHER_ADAPTOR, Day
from tests.jobs.export.engines import ENGINES, Engine, params
from tests.jobs.export.versions import PAYLOAD, rows_of

every_engine = pytest.mark.parametrize("engine", params(*ENGINES), indirect=True)
ENCODINGS = [
    pytest.param(*engine.values, encoding, marks=engine.marks)
    for engine in params(*ENGINES)
    for encoding in ENGINES[str(engine.values[0])].encodings
]


@pytest.mark.parametrize(("engine", "encoding"), ENCODINGS, indirect=["engine"])
def test_all_rows_are_there_and_found(engine: Engine, encoding: str, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, encoding, payload_types=PAYLOAD)
    day.maker.commit(day.first)
    day.export()
    day.check()


@every_engine
def test_a_days_feed_makes_what_a_full_load_makes(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types=PAYLOAD)
    day.maker.commit(day.first)
    day.export()
    day.maker.commit(day.second())
    day.maker.commit({"b.parquet": day.maker.shards["b.parquet"]})
    day.export()
    day.check()


@every_engine
def test_a_second_export_changes_nothing(
    engine: Engine, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Day(engine, name, tmp_path)
    day.maker.commit(day.first)
    day.export()
    capsys.readouterr()
    monkeypatch.setattr(command, "Loading", None)  # nothing may be loaded
    day.export()
    assert "up to date at sequence 1" in capsys.readouterr().out
    day.check()


@every_engine
def test_a_dry_run_makes_nothing(engine: Engine, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = Day(engine, name, tmp_path)
    day.maker.commit(day.first)
    before = sorted(tmp_path.rglob("*"))
    day.export(dry_run=True)
    assert "full load of sequence 1, 160 rows of 2 files" in capsys.readouterr().out
    assert [path for path in sorted(tmp_path.rglob("*")) if "adaptor" not in path.parts] == before
    assert "/dev/shm" not in engine.uri or not Path(engine.uri).exists()
    day.export()
    day.check()
    day.maker.commit(day.second())
    capsys.readouterr()
    day.export(dry_run=True)
    day.maker.sequence, day.maker.shards = 1, dict(day.first)
    day.check()
    wanted = "full load of sequence 2" if engine.target == "faiss" else "sequence 2, 25 upserts and 11 deletes"
    assert wanted in capsys.readouterr().out


@every_engine
def test_a_crash_at_any_step_is_made_good_by_the_next_run(
    engine: Engine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Day(engine, name, tmp_path)
    day.first, day.batch_rows = day.day(25, 16), 10
    day.maker.commit(day.first)
    made: list[CrashingTarget] = []

    def crash() -> None:
        raise Crash

    def crashing(*arguments: Any) -> Any:
        made.append(CrashingTarget(open_target(*arguments), at, crash))
        return made[-1]

    at = -1
    with monkeypatch.context() as patched:
        patched.setattr(command, "open_target", crashing)
        day.export()
        full_steps = made[-1].steps
        for at in range(1, full_steps + 1):
            day.name = f"{name}_{at}"
            with pytest.raises(Crash):
                day.export()
        at = -1
        for step in range(1, full_steps + 1):  # the resumed run, in which another crash
            day.name, at = f"{name}_{step}", 3
            if step < full_steps:
                with pytest.raises(Crash):
                    day.export()
    for step in range(1, full_steps + 1):
        day.name = f"{name}_{step}"
        day.export()
        day.check()
    day.maker.commit(day.second())
    feed_steps, at = 1, 0
    with monkeypatch.context() as patched:
        patched.setattr(command, "open_target", crashing)
        while at < feed_steps:
            at += 1
            day.name = f"{name}_{1 + at % full_steps}"
            try:
                day.export()
            except Crash:
                feed_steps = at + 1
    for step in range(1, full_steps + 1):
        day.name = f"{name}_{step}"
        day.export()
        day.check()


@every_engine
def test_an_unfinished_load_goes_on_after_the_version_has_changed(
    engine: Engine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    day = Day(engine, name, tmp_path)
    day.maker.commit(day.first)

    def crash() -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(command, "open_target", lambda *given: CrashingTarget(open_target(*given), 8, crash))
        with pytest.raises(Crash):
            day.export()
    day.maker.commit(day.second())
    day.export()
    if engine.target != "faiss":
        assert "goes on with an unfinished load of sequence 1, after 1 of its files" in capsys.readouterr().err
    day.check()


@every_engine
def test_another_adaptor_is_refused_and_replaces_if_told(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    day.maker.commit(day.first)
    day.export()
    other = Day(engine, name, tmp_path / "other")
    other.maker.adaptor = OTHER_ADAPTOR
    other.maker.commit(other.first)
    with pytest.raises(InputError, match=r"other adaptor_id .* \(now .*Give another destination.collection"):
        other.export()
    day.check()
    other.export(replace=True)
    other.check()


@every_engine
def test_a_checkpoint_older_than_the_feeds_asks_for_a_full_load(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    day.maker.commit(day.first)
    day.export()
    day.maker.commit(day.second(), forget_feeds=True)
    if engine.target != "faiss":
        with pytest.raises(InputError, match=r"at sequence 1, and feeds are kept from 2 on: it needs a full load"):
            day.export()
    day.export(replace=True)
    day.check()


@every_engine
@pytest.mark.parametrize("id_type", ["int64", "uint64", "uuid"])
def test_ids_that_are_no_text(engine: Engine, id_type: str, name: str, tmp_path: Path) -> None:
    from uuid import UUID

    import pyarrow as pa

    def renamed(rows: dict[Any, Any]) -> dict[Any, Any]:
        numbers = (int(key.rpartition("-")[2]) for key in rows)
        return {
            (UUID(int=number << 70 | 5) if id_type == "uuid" else number * 7): row
            for number, row in zip(numbers, rows.values(), strict=True)
        }

    kind = pa.uuid() if id_type == "uuid" else getattr(pa, id_type)()
    day = Day(engine, name, tmp_path, id_type=kind)
    day.first = {shard: renamed(rows) for shard, rows in day.first.items()}
    day.maker.commit(day.first)
    day.export()
    day.check()
    kept = dict(list(day.first["a.parquet"].items())[3:])
    day.maker.commit({"a.parquet": kept, "b.parquet": day.first["b.parquet"] | renamed(rows_of(3, 9, start=900))})
    day.export()
    day.check()
