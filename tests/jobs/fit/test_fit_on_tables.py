"""Fit, advise and evaluate over a table: its live rows, and a word about the snapshot."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("deltalake", reason="the extra `delta` is not installed")

from deltalake import write_deltalake

from jobs.advise import command as advise
from jobs.config.advise import AdviseConfig
from jobs.config.evaluate import EvaluateConfig
from jobs.evaluate import command as evaluate
from jobs.fit import command as fit
from tests.jobs.fit.inputs import clustered, config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


def test_all_verbs_read_the_live_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors, _ = clustered(400)
    lists = pa.array(list(vectors), pa.list_(pa.float32()))
    ids = [f"r{row}" for row in range(400)]
    for part in (slice(0, 100), slice(100, 400)):
        content = pa.table({"id": ids[part], "vector": lists.slice(part.start, part.stop - part.start)})
        write_deltalake(tmp_path / "t", content, mode="overwrite")
    source = {"uri": str(tmp_path / "t"), "format": "delta"}
    chosen = config(tmp_path / "t", tmp_path / "adaptor", source=source, training={"steps": 20})
    assert fit.run(chosen) == 0
    note = "version 1 of the Delta table is read: 1 live file"
    assert note in capsys.readouterr().err
    summary = json.loads((tmp_path / "adaptor" / "summary.json").read_text())
    assert (summary["rows"], summary["source_snapshot"], summary["notes"]) == (300, "1", [note])
    assert fit.run(chosen) == 0
    assert "nothing to do" in capsys.readouterr().out

    sections = {"source": source, "adaptor": {"uri": str(tmp_path / "adaptor")}}
    asked = {"output": {"uri": str(tmp_path / "advice")}, "target": ["bytes <= 1000"], "cluster": {"workers": 1}}
    assert advise.run(AdviseConfig.model_validate({**sections, **asked})) == 0
    wanted = {"output": {"uri": str(tmp_path / "evaluation")}, "cluster": {"workers": 1}}
    assert evaluate.run(EvaluateConfig.model_validate({**sections, **wanted})) == 0
    measured = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert measured["rows"] == 300
