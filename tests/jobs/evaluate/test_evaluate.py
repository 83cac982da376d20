"""The command end to end on a real Ray: the published number, both kinds of truth, and what bad input is told."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.evaluate.command import run
from tests.jobs.evaluate.inputs import (
    evaluate_config,
    make_adaptor,
    save_adaptor,
    save_qrels,
    save_source,
    save_vectors,
    with_fitted_codes,
)

pytestmark = pytest.mark.usefixtures("ray_cluster")
DIM = 8


def small(rows: int = 60, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    """A source, an adaptor, queries and qrels that fit each other."""
    vectors = small()
    save_vectors(tmp_path / "queries.parquet", ["q0", "q1", "q2"], small(3, 1).tolist())
    judgments = [("q0", "doc-1", 1), ("q0", "doc-2", 2), ("q1", "doc-30", 1), ("q2", "doc-59", 1)]
    return {
        "source": save_source(tmp_path / "source", vectors, 3),
        "adaptor": save_adaptor(make_adaptor(vectors, (2, 4, DIM)), tmp_path / "adaptor"),
        "queries": str(tmp_path / "queries.parquet"),
        "qrels": save_qrels(tmp_path / "qrels.parquet", judgments),
    }


def evaluate(inputs: dict[str, str], output: Path, **sections: Any) -> list[dict[str, Any]]:
    """Run with queries and qrels where `inputs` has them; the records of metrics.json."""
    given = {name: {"uri": inputs[name]} for name in ("queries", "qrels") if name in inputs} | sections
    assert run(evaluate_config(inputs["source"], inputs["adaptor"], output, **given)) == 0
    records: list[dict[str, Any]] = json.loads((output / "metrics.json").read_text())
    return records


def refusal(inputs: dict[str, str], output: Path, **sections: Any) -> str:
    with pytest.raises(InputError) as refused:
        evaluate(inputs, output, **sections)
    assert not (output / "metrics.json").exists()
    return str(refused.value)


def test_without_what_draws_the_report_all_else_is_written(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert {record["metric"] for record in evaluate(inputs, output)} >= {"ndcg@10", "overlap@10"}
    assert (output / "report.html").exists()
    assert (output / "quality.svg").exists()
    capsys.readouterr()
    for name in [name for name in sys.modules if name.startswith(("jobs.reporting.report", "jobs.reporting.figures"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert evaluate(inputs, output)
    assert not (output / "report.html").exists()
    assert not (output / "quality.svg").exists()
    said = capsys.readouterr()
    assert said.err.startswith("matryoshka evaluate: report.html and quality.svg are left out: jinja2 is not inst")
    assert "pip install 'matryoshka-adaptor[report]'" in said.err
    assert said.out.splitlines()[-1] == str(output / "metrics.json")


def test_scifact_gives_the_published_number(scifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = sorted((scifact / "corpus").glob("*.parquet"))
    vectors = np.concatenate([np.stack(pq.read_table(s).column("vector").to_numpy()) for s in shards])
    adaptor = save_adaptor(make_adaptor(vectors.astype(np.float32), (16, 64)), tmp_path / "adaptor")
    inputs = {"source": str(scifact / "corpus"), "adaptor": adaptor}
    split = {name: {"uri": str(scifact / f"{name}.parquet"), "split": "test"} for name in ("queries", "qrels")}
    records = evaluate(inputs, tmp_path / "out", **split, evaluation={"name": "scifact", "bootstrap": 100})
    value = {(r["method"], r["dim"], r["metric"]): r["value"] for r in records if r["encoding"] == "float32"}
    assert value["original", 384, "ndcg@10"] == pytest.approx(0.6451, abs=1e-3)
    # the table in adaptor/README.md
    assert value["truncation", 16, "ndcg@10"] == pytest.approx(0.158, abs=2e-3)
    assert value["truncation", 64, "ndcg@10"] == pytest.approx(0.484, abs=2e-3)
    assert value["pca", 16, "ndcg@10"] == pytest.approx(0.299, abs=2e-3)
    assert value["pca", 64, "ndcg@10"] == pytest.approx(0.559, abs=2e-3)
    assert {r["set"] for r in records} == {"scifact"}
    assert {r["n"] for r in records} == {300}
    printed = capsys.readouterr().out.splitlines()
    assert printed[-3:] == [str(tmp_path / "out" / name) for name in ("metrics.json", "report.html", "quality.svg")]
    assert any("0.645" in line for line in printed)


def test_records_cover_every_method_dim_and_metric(inputs: dict[str, str], tmp_path: Path) -> None:
    records = evaluate(inputs, tmp_path / "out")
    metrics = {"ndcg@10", "recall@10", "recall@100", "mrr@10", "overlap@1", "overlap@10", "overlap@100"}
    metrics |= {"pairwise_distance", "topk_distance"}
    columns = {("original", DIM, "float32", 4 * DIM)}
    columns |= {(m, w, "float32", 4 * w) for m in ("truncation", "pca", "adaptor") for w in (2, 4, DIM)}
    columns |= {("adaptor", w, "float16", 2 * w) for w in (2, 4, DIM)}
    measured = {(r["method"], r["dim"], r["encoding"], r["bytes"], r["metric"]) for r in records}
    assert measured == {(*c, m) for c in columns for m in metrics}
    assert len(records) == len(columns) * len(metrics)
    for r in records:
        assert list(r) == ["set", "method", "dim", "encoding", "bytes", "metric", "value", "ci_low", "ci_high", "n"]
        assert r["ci_low"] <= r["value"] <= r["ci_high"]
        assert r["set"] == "source"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "complete"
    assert (summary["rows"], summary["queries"], summary["judged_queries"], summary["shards"]) == (60, 3, 3, 3)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["source"]["uri"] == inputs["source"]


def test_codes_are_measured_at_their_dims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    coded = with_fitted_codes(make_adaptor(rows, (4, 8, 16)), rows)
    inputs = {"source": save_source(tmp_path / "source", rows, 2), "adaptor": save_adaptor(coded, tmp_path / "coded")}
    records = evaluate(inputs, tmp_path / "out", evaluation={"sampled_queries": 50, "bootstrap": 50})
    bits = {"float16": 16, "int8": 8, "int4": 4, "int2": 2, "binary": 1}
    measured = {(r["dim"], r["encoding"]): r["bytes"] for r in records if r["encoding"] != "float32"}
    assert measured == {
        (dim, name): dim * b // 8 for name, b in bits.items() for dim in (4, 8, 16) if dim % 8 == 0 or name == "float16"
    }
    overlap = {(r["encoding"], r["dim"]): r["value"] for r in records if r["metric"] == "overlap@10"}
    assert overlap["int8", 16] > overlap["int4", 16] > overlap["int2", 16] > overlap["binary", 16]
    printed = capsys.readouterr().out
    assert "In bytes a vector; truncation and PCA as float16 in the same bytes" in printed
    assert "bytes a vector (" in printed
    for name in bits:
        assert f">Adaptor, {name}</th>" in (tmp_path / "out" / "report.html").read_text()


def test_without_queries_rows_of_the_source_find_others_than_themselves(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del inputs["queries"], inputs["qrels"]
    records = evaluate(inputs, tmp_path / "out", evaluation={"sampled_queries": 20, "dims": [4, 2], "bootstrap": 50})
    assert {r["metric"] for r in records if "@" in r["metric"]} == {"overlap@1", "overlap@10", "overlap@100"}
    assert {r["dim"] for r in records} == {2, 4, DIM}
    assert {r["n"] for r in records} == {20}
    (first,) = (r for r in records if (r["method"], r["dim"], r["metric"]) == ("truncation", 2, "overlap@1"))
    assert first["value"] < 0.9  # every sampled query would find itself at any dim
    assert "20 rows of the source as queries" in capsys.readouterr().out


def test_the_workers_and_the_shards_change_nothing(inputs: dict[str, str], tmp_path: Path) -> None:
    pages = []
    for shards, workers in ((1, 1), (5, 2)):
        inputs["source"] = save_source(tmp_path / str(shards) / "source", small(), shards)
        out = tmp_path / f"out-{shards}"
        evaluate(inputs, out, cluster={"workers": workers})
        pages.append(((out / "metrics.json").read_bytes(), (out / "report.html").read_bytes()))
    assert pages[0] == pages[1]


def test_unknown_ids_and_unusable_rows_are_reported(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judgments = [("q0", "doc-1", 1), ("q0", "nobody", 1), ("stranger", "doc-1", 1)]
    inputs["qrels"] = save_qrels(tmp_path / "qrels.parquet", judgments)
    save_vectors(Path(inputs["source"]) / "part-009.parquet", ["bad"], [[float("nan")] * DIM])
    records = evaluate(inputs, tmp_path / "out", evaluation={"dims": [3]})
    errors = capsys.readouterr().err
    assert "not in the source, relevant ones count as missed: 1 ('nobody')" in errors
    assert "not among the queries, their judgments are not used: 1 ('stranger')" in errors
    assert "queries without a judgment, left out of the retrieval measures: 2 ('q1', 'q2')" in errors
    assert "1 rows are left out: 1 NaN" in errors
    assert "not trained for dim 3" in errors
    assert {r["n"] for r in records if r["metric"] == "ndcg@10"} == {1}
    assert {r["n"] for r in records if r["metric"] == "overlap@10"} == {3}
    assert "nobody" in (tmp_path / "out" / "report.html").read_text()


def test_qrels_without_anything_in_common_are_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    inputs["qrels"] = save_qrels(tmp_path / "a.parquet", [("q0", "nobody", 1)])
    assert "qrels and source have no document id in common" in refusal(inputs, tmp_path / "out")
    inputs["qrels"] = save_qrels(tmp_path / "b.parquet", [("stranger", "doc-1", 1)])
    assert "qrels and queries have no query id in common" in refusal(inputs, tmp_path / "out")


def test_an_empty_split_of_the_qrels_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    message = refusal(inputs, tmp_path / "out", qrels={"uri": inputs["qrels"], "split": "dev"})
    assert "no row with split 'dev'; it has 'test': set qrels.split" in message


def test_queries_of_another_dimension_are_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    save_vectors(tmp_path / "queries.parquet", ["q0"], [[1.0] * 5])
    message = refusal(inputs, tmp_path / "out")
    assert "queries.parquet, row 0: column 'vector': wrong length 5 (expected 8)" in message


def test_an_adaptor_of_another_dimension_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    other = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    inputs["adaptor"] = save_adaptor(make_adaptor(other, (2, 6)), tmp_path / "other")
    message = refusal(inputs, tmp_path / "out")
    assert "takes 6 dimensions" in message
    assert "have 8: give the adaptor that was fitted on this source" in message


def test_another_metric_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    inputs["adaptor"] = save_adaptor(make_adaptor(small(), (2, 4), "dot"), tmp_path / "dot")
    message = refusal(inputs, tmp_path / "out")
    assert "source.metric is cosine, but the adaptor in" in message
    assert "was fitted for dot" in message


@pytest.mark.parametrize("dims", [[4, 9], [0], []])
def test_impossible_dims_are_refused(inputs: dict[str, str], tmp_path: Path, dims: list[int]) -> None:
    message = refusal(inputs, tmp_path / "out", evaluation={"dims": dims})
    assert f"evaluation.dims is {dims}: give dims from 1 to 8" in message


def test_a_damaged_or_missing_artefact_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    weights = Path(inputs["adaptor"]) / "adaptor.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "adaptor.safetensors is damaged or was changed" in refusal(inputs, tmp_path / "out")
    weights.unlink()
    assert "no adaptor here: adaptor.safetensors missing" in refusal(inputs, tmp_path / "out")


def test_a_source_without_usable_rows_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    inputs["source"] = str(tmp_path / "bad")
    save_vectors(tmp_path / "bad" / "a.parquet", ["a", "b"], [[0.0] * DIM, [float("inf")] * DIM])
    message = refusal(inputs, tmp_path / "out")
    assert "none of its 2 rows can be used: 1 zero vector, 1 infinite" in message


def test_errors_of_workers_arrive_as_they_were_raised(inputs: dict[str, str], tmp_path: Path) -> None:
    (Path(inputs["source"]) / "part-009.parquet").write_bytes(b"PAR1 not really")
    message = refusal(inputs, tmp_path / "out")
    assert "part-009.parquet is truncated" in message
    assert "Traceback" not in message
