"""The whole source through the adaptor, on a real local Ray: each row once, payload as it was, re-runs do the rest."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError, RunError
from cluster.errors import ClusterError
from jobs.commits.names import LEDGER
from jobs.config.compress import CompressConfig
from jobs.config.loader import load
from jobs.storage.objects import Objects
from tests.jobs.compress.workplace import OUTPUT_DIM, Workplace, lists, table, vectors

pytestmark = pytest.mark.usefixtures("ray_cluster")


def short(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """The vectors of an output column."""
    return np.array(column.to_pylist(), np.float32)


def summary(workplace: Workplace, **sections: Any) -> dict[str, Any]:
    """The summary of the last run."""
    content: dict[str, Any] = json.loads(workplace.output_version(**sections).read("summary.json"))
    return content


def test_every_row_comes_out_once_with_its_payload(workplace: Workplace) -> None:
    assert workplace.compress(cluster={"workers": 2}) == 0
    for key in ("a.parquet", "sub/b.parquet", "sub/c.parquet"):
        source, output = pq.read_table(workplace.source / key), workplace.output(key)
        assert output.column_names == source.column_names
        assert output.drop(["vector"]).equals(source.drop(["vector"]))
        assert output.schema.field("vector").type == pa.list_(pa.float32(), OUTPUT_DIM)
        oracle = workplace.exact(source["vector"].to_pylist())
        oracle /= np.linalg.norm(oracle, axis=1, keepdims=True)
        np.testing.assert_allclose(short(output["vector"]), oracle, atol=1e-6)
    counts = [(r.rows_in, r.rows_out, r.duplicate_ids) for r in workplace.records()]
    assert counts == [(25, 25, 0), (31, 31, 0), (3, 3, 0)]
    numbers = summary(workplace)
    assert (numbers["status"], numbers["rows_out"], numbers["work_items_done"]) == ("complete", 59, 3)
    assert numbers["adaptor_id"] == workplace.adaptor.adaptor_id
    assert numbers["notes"][0].startswith("the adaptor was not trained for dim 5 (but for 4, 8)")
    metadata = pq.read_schema(workplace.output_path("sub/b.parquet")).metadata
    assert metadata[b"matryoshka.adaptor_id"].decode() == workplace.adaptor.adaptor_id
    stamped = {
        name: metadata[f"matryoshka.{name}".encode()] for name in ("input_dim", "dim", "metric", "normalised", "source")
    }
    assert stamped == {
        "input_dim": b"12",
        "dim": b"5",
        "metric": b"cosine",
        "normalised": b"true",
        "source": b"sub/b.parquet",
    }


def test_the_configuration_that_it_writes_is_one(workplace: Workplace) -> None:
    output = {"uri": str(workplace.root / "a\x85b\u2028c")}
    assert workplace.compress(output=output) == 0
    written = Path(workplace.output_version(output=output).path("config.json"))
    assert load(CompressConfig, written) == workplace.config(output=output)


def test_a_second_run_has_nothing_to_do(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.compress()
    before = workplace.bytes_below("data/", LEDGER)
    capsys.readouterr()
    started = time.monotonic()
    assert workplace.compress(reading={"batch_rows": 1}, cluster={"workers": 2}) == 0
    assert time.monotonic() - started < 5
    assert "nothing to do: all 3 work items are done" in capsys.readouterr().out
    assert workplace.bytes_below("data/", LEDGER) == before
    assert (summary(workplace)["work_items_done_before"], summary(workplace)["work_items_done"]) == (3, 0)


def test_new_changed_removed_and_lost(workplace: Workplace) -> None:
    workplace.compress()
    first, untouched = summary(workplace), workplace.output_version().stat(workplace.output_key("sub/c.parquet"))
    assert (first["sequence"], first["feed"]) == (1, None)
    old = {shard: workplace.output_key(shard) for shard in ("a.parquet", "sub/b.parquet")}
    workplace.put("new.parquet", table(7, seed=4))
    workplace.put("a.parquet", table(12, seed=5))
    os.unlink(workplace.source / "sub" / "b.parquet")
    keeping: dict[str, Any] = {"output": {"removed": "keep"}}
    assert workplace.compress(**keeping) == 0
    numbers = summary(workplace)
    assert (numbers["work_items_done"], numbers["sequence"]) == (2, 2)
    assert {name: numbers["feed"][name] for name in ("upserts", "deletes")} == {"upserts": 19, "deletes": 25}
    assert workplace.output_version().stat(str(untouched and untouched.key)) == untouched
    assert workplace.output("a.parquet")["id"].to_pylist()[:2] == ["row-5-0", "row-5-1"]
    assert [r.shard for r in workplace.records()] == ["a.parquet", "new.parquet", "sub/b.parquet", "sub/c.parquet"]
    assert set(workplace.bytes_below("data/")) == {r.output for r in workplace.records()}
    assert workplace.compress() == 0
    assert summary(workplace)["feed"]["deletes"] == 31
    assert [r.shard for r in workplace.records()] == ["a.parquet", "new.parquet", "sub/c.parquet"]
    assert set(workplace.bytes_below("data/")) == {r.output for r in workplace.records()}
    retired = {key.split("/", 2)[2] for key in workplace.bytes_below("_superseded/")}
    assert retired == {key.removeprefix("data/") for key in old.values()}
    sound = workplace.bytes_below("data/")
    workplace.output_version().delete(workplace.output_key("new.parquet"))
    workplace.output_version().put("data/stray.parquet", b"left by a run of long ago")
    assert workplace.compress() == 0
    assert workplace.bytes_below("data/") == sound
    assert summary(workplace)["sequence"] == 3


def test_bytes_do_not_depend_on_workers_or_batches(workplace: Workplace) -> None:
    workplace.put("wide.parquet", table(9000, seed=6), row_group_rows=5000)
    workplace.compress()
    alone = workplace.bytes_below("data/", LEDGER)
    for workers, batch_rows in ((2, 100), (1, 4097)):
        output = {"uri": str(workplace.root / f"other-{batch_rows}")}
        workplace.compress(output=output, cluster={"workers": workers}, reading={"batch_rows": batch_rows})
        assert workplace.bytes_below("data/", LEDGER, output=output) == alone


def test_runs_of_row_groups_give_the_same_rows(workplace: Workplace) -> None:
    workplace.compress()
    split: dict[str, Any] = {"output": {"uri": str(workplace.root / "split")}}
    size = os.path.getsize(workplace.source / "sub" / "b.parquet")
    assert workplace.compress(reading={"split_bytes": size // 2}, **split) == 0
    parts = sorted(key for key in workplace.bytes_below("data/", **split) if "/b." in key)
    joined = pa.concat_tables([workplace.output(part.removeprefix("data/"), **split) for part in parts])
    assert len(parts) > 1
    assert all(re.fullmatch(r"data/sub/b\.rg\d{5}-\d{5}\.[0-9a-f]{16}\.parquet", part) for part in parts)
    assert joined.equals(workplace.output("sub/b.parquet"))
    assert workplace.compress(**split) == 0  # a larger split_bytes later does not undo it
    assert summary(workplace, **split)["work_items_done"] == 0


def test_shards_that_another_run_cut_differently_meanwhile_are_not_called_complete(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = os.path.getsize(workplace.source / "sub" / "b.parquet")
    other: dict[str, Any] = {"output": {"uri": str(workplace.root / "other")}}
    workplace.compress()
    whole = workplace.output("sub/b.parquet")
    assert workplace.compress(reading={"split_bytes": size // 2}, **other) == 0

    def meanwhile(output_version: Objects) -> dict[Any, Any]:
        """What another driver writes between the plan of this one and its end."""
        for key, content in workplace.bytes_below("data/", LEDGER, **other).items():
            output_version.put(key, content)
        return {}

    monkeypatch.setattr("jobs.compress.command.noted_attempts", meanwhile)
    workplace.put("sub/b.parquet", pq.read_table(workplace.source / "sub" / "b.parquet"))  # a new version: to do again
    workplace.compress(reading={"split_bytes": size // 2}, **other)
    assert workplace.compress() == 1
    assert "2 shards in the output twice" in capsys.readouterr().out
    assert (summary(workplace)["status"], summary(workplace)["shards_cut_twice"]) == ("incomplete", 2)  # a.parquet, too
    monkeypatch.undo()
    assert workplace.compress() == 0
    assert set(workplace.bytes_below("data/")) == {record.output for record in workplace.records()}
    assert [record.shard for record in workplace.records()] == ["a.parquet", "sub/b.parquet", "sub/c.parquet"]
    assert workplace.output("sub/b.parquet").equals(whole)
    assert summary(workplace)["shards_cut_twice"] == 0


def test_a_failed_run_is_not_said_to_be_running(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(output_version: Objects) -> dict[Any, Any]:
        """As a cluster that goes away."""
        raise ClusterError("the Ray cluster failed")

    monkeypatch.setattr("jobs.compress.command.noted_attempts", fails)
    with pytest.raises(ClusterError):
        workplace.compress()
    assert summary(workplace)["status"] == "failed"


def test_an_outage_of_the_output_is_told_and_not_what_came_of_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def first_time_only(*_: Any) -> None:
        """The output goes away after the first summary."""
        written.append("summary")
        if len(written) > 1:
            raise RunError("the summary cannot be written either")

    def outage(*_: Any, **__: Any) -> None:
        """At the end of the work."""
        raise RunError("the output is gone")

    monkeypatch.setattr("jobs.runtime.summary.write_summary", first_time_only)
    monkeypatch.setattr("jobs.compress.command.clean_up", outage)
    with pytest.raises(RunError, match="the output is gone"):
        workplace.compress()
    assert len(written) == 2


def test_output_versions_stand_side_by_side_and_keep_their_settings(workplace: Workplace) -> None:
    workplace.compress()
    first = workplace.output_version().uri
    workplace.set_adaptor(seed=3)
    workplace.compress()
    workplace.compress(output={"encoding": "float16"})
    folders = {path.name for path in (workplace.root / "output").iterdir()}
    name = workplace.adaptor.adaptor_id[:16]
    assert folders == {first.split("/")[-1], f"{name}-d5-float32", f"{name}-d5-float16"}
    half = workplace.output("a.parquet", output={"encoding": "float16"})["vector"]
    assert half.type == pa.list_(pa.float16(), OUTPUT_DIM)
    expected = short(workplace.output("a.parquet")["vector"]).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(short(half), expected)
    with pytest.raises(InputError, match=r"compression 'none' \(now 'zstd'\).*give another output\.uri"):
        workplace.compress(output={"compression": "zstd"})
    with pytest.raises(InputError, match=r"source '.*/source' \(now '.*/sub'\)"):
        workplace.compress(source={"uri": str(workplace.source / "sub")})


def test_dot_product_keeps_lengths_and_minds_them(workplace: Workplace) -> None:
    workplace.set_adaptor(metric="dot")
    source = {"metric": "dot"}
    assert workplace.compress(source=source) == 0
    oracle = workplace.exact(pq.read_table(workplace.source / "a.parquet")["vector"].to_pylist())
    np.testing.assert_allclose(short(workplace.output("a.parquet", source=source)["vector"]), oracle, atol=1e-5)


def test_integer_ids_doubles_and_list_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workplace = Workplace(tmp_path)
    rows = vectors(6, 1).astype(np.float64)
    content = pa.table({"id": [1, 2, 2, 3, 1, 1], "vector": lists(rows.tolist(), pa.large_list(pa.float64()))})
    workplace.put("large.parquet", content)
    workplace.put("empty.parquet", content.slice(0, 0))
    assert workplace.compress() == 0
    assert {r.shard: r.duplicate_ids for r in workplace.records()}["large.parquet"] == 3
    assert "3 rows with an id that an earlier row of the same shard has: large.parquet (3)" in capsys.readouterr().out
    assert workplace.output("large.parquet")["id"].to_pylist() == [1, 2, 2, 3, 1, 1]
    assert workplace.output("empty.parquet").schema == workplace.output("large.parquet").schema.with_metadata(
        workplace.output("empty.parquet").schema.metadata
    )


def test_a_shard_without_rows_is_a_shard(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    workplace.put("empty.parquet", table(3, seed=1).slice(0, 0))
    assert workplace.compress() == 0
    assert workplace.output("empty.parquet").schema.field("vector").type == pa.list_(pa.float32(), OUTPUT_DIM)
    assert workplace.verify()[0] == 0


def test_what_does_not_fit_together_is_refused(workplace: Workplace) -> None:
    with pytest.raises(InputError, match=r"output\.dim is 13.*at most 12 dimensions"):
        workplace.compress(output={"dim": 13})
    with pytest.raises(InputError, match=r"source\.metric is l2, but the adaptor in .* was fitted for cosine"):
        workplace.compress(source={"metric": "l2"})
    with pytest.raises(InputError, match=r"lies inside source\.uri"):
        workplace.compress(output={"uri": str(workplace.source / "out")})
    (workplace.root / "link").symlink_to(workplace.source)
    for hidden in ("link/out", "link/../source/out", f"{workplace.source.name}/../{workplace.source.name}"):
        with pytest.raises(InputError, match=r"lies inside source\.uri"):
            workplace.compress(output={"uri": f"{workplace.root}/{hidden}"})
    with pytest.raises(InputError, match=r"lies inside source\.uri"):
        workplace.compress(output={"uri": f"FILE://{workplace.source}/out"})
    with pytest.raises(InputError, match=r"lies inside source\.uri"):
        workplace.compress(source={"uri": "memory://a/v"}, output={"uri": "memory:///a/v/out"})
    with pytest.raises(InputError, match=r"does not exist or holds no Parquet file"):
        workplace.compress(source={"uri": str(workplace.root / "nowhere")})
    with pytest.raises(InputError, match=r"no column 'embedding'"):
        workplace.compress(source={"vector_column": "embedding"})
    (workplace.root / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"is not writable"):
        workplace.compress(output={"uri": str(workplace.root / "file")})
    other = Workplace(workplace.root / "other")
    other.put("x.parquet", pa.table({"id": ["x"], "vector": lists([[1.0, 2.0]])}))
    with pytest.raises(InputError, match=r"have 2 dimensions \(x\.parquet\), the adaptor in .* takes 12"):
        workplace.compress(source={"uri": str(other.source)}, output={"uri": str(workplace.root / "fresh")})
    other.put("small.parquet", table(2, seed=1))
    elsewhere: dict[str, Any] = {"source": {"uri": str(other.source)}, "output": {"uri": str(workplace.root / "mixed")}}
    other.put("x.parquet", pa.table({"id": ["x"] * 400, "vector": lists([[1.0, 2.0]] * 400)}))  # the largest shard
    assert workplace.compress(reading={"bad_rows": "quarantine"}, **elsewhere) == 0
    (workplace.root / "adaptor" / "adaptor.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"is damaged or was changed"):
        workplace.compress()
