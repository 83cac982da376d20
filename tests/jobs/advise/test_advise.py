"""The command end to end on a real Ray: what it writes, its exit status, and what bad input is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptor.artefact import build
from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.advise.command import run
from jobs.config.advise import AdviseConfig
from jobs.evaluate.command import run as evaluate
from tests.jobs.evaluate.inputs import (
    evaluate_config,
    make_adaptor,
    save_adaptor,
    save_qrels,
    save_source,
    save_vectors,
)

pytestmark = pytest.mark.usefixtures("ray_cluster")
DIM, ROWS = 12, 900


def vectors(rows: int = ROWS, seed: int = 0) -> Floats:
    """Rows whose variance falls quickly, so that dims differ."""
    return (np.random.default_rng(seed).normal(size=(rows, DIM)) * 0.7 ** np.arange(DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source with an unusable row, an adaptor that says it knows labels and half of the source, and queries that are
    noisy copies of the documents they ask for."""
    folder = tmp_path_factory.mktemp("advise")
    rows = vectors()
    save_source(folder / "source", rows, 3)
    save_vectors(folder / "source" / "part-009.parquet", ["bad"], [[float("nan")] * DIM])
    plain = make_adaptor(rows, (2, 4, 8, DIM))
    described = {k: v for k, v in plain.document.items() if k not in ("adaptor_id", "checksum") and "sha256" not in k}
    described |= {"supervised": True, "data": {"sampled_rows": 450, "source_rows": 900, "queries": 1234}}
    save_adaptor(build(described, plain.tensors, plain.rotation), folder / "adaptor")
    wanted = np.random.default_rng(1).choice(ROWS, 60, replace=False)
    asked = rows[wanted] + 0.05 * vectors(60, 2)
    save_vectors(folder / "queries.parquet", [f"q{i}" for i in range(60)], asked.tolist())
    save_qrels(folder / "qrels.parquet", [(f"q{i}", f"doc-{row}", 1) for i, row in enumerate(wanted)])
    return folder


def advise(place: Path, out: Path, judged: bool = True, **sections: Any) -> tuple[int, dict[str, Any]]:
    given = {"source": {"uri": str(place / "source")}, "adaptor": {"uri": str(place / "adaptor")}}
    tables = {name: {"uri": str(place / f"{name}.parquet")} for name in ("queries", "qrels")} if judged else {}
    config = AdviseConfig.model_validate({**given, "output": {"uri": str(out)}, **tables, **sections})
    status = run(config)
    advice: dict[str, Any] = json.loads((out / "advice.json").read_text())
    return status, advice


def values(advice: dict[str, Any]) -> dict[tuple[str, int, str], float]:
    return {(r["method"], r["dim"], r["metric"]): r["value"] for r in advice["records"]}


def test_on_the_whole_source_it_says_what_evaluate_says(place: Path, tmp_path: Path) -> None:
    tables = {name: {"uri": str(place / f"{name}.parquet")} for name in ("queries", "qrels")}
    config = evaluate_config(str(place / "source"), str(place / "adaptor"), tmp_path / "evaluation", **tables)
    assert evaluate(config) == 0
    exact = {
        (r["method"], r["dim"], r["metric"]): r["value"]
        for r in json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
        if "@" in r["metric"]
    }
    for rows in (ROWS * 2, None):
        _, advice = advise(place, tmp_path / str(rows), advising={"sample_rows": rows})
        assert values(advice) == pytest.approx(exact, abs=1e-6)
        assert (advice["rows"], advice["searched_rows"]) == (ROWS + 1, ROWS)
        assert any("unusable" in note for note in advice["notes"])


def test_a_sample_is_extrapolated_to_the_size_of_the_source(place: Path, tmp_path: Path) -> None:
    _, whole = advise(place, tmp_path / "whole", judged=False, advising={"sampled_queries": ROWS})
    _, part = advise(place, tmp_path / "part", judged=False, advising={"sample_rows": 300, "sampled_queries": 300})
    assert part["searched_rows"] < 310
    sampled = {(r["method"], r["dim"], r["rows"]): r["value"] for r in part["trend"] if r["metric"] == "overlap@10"}
    for dim in (2, 4):
        exact = values(whole)["pca", dim, "overlap@10"]
        extrapolated = values(part)["pca", dim, "overlap@10"]
        alone = sampled["pca", dim, part["searched_rows"]]
        assert alone > exact + 0.03, "a sample alone is too kind"
        assert abs(extrapolated - exact) < abs(alone - exact)


def test_the_sampled_judged_rows_and_the_others_are_found(place: Path, tmp_path: Path) -> None:
    _, advice = advise(place, tmp_path, advising={"sample_rows": 100})
    assert any("9 times the rows that were searched" in note for note in advice["notes"])
    assert not any("fitted with labels" in note for note in advice["notes"])
    assert any("fitted with 1,234 queries of a log: if these are among them" in note for note in advice["notes"])
    assert advice["judged_queries"] == 60
    assert values(advice)["original", DIM, "recall@100"] > 0.9
    assert not any("not in the source" in note for note in advice["notes"])


def test_exit_status_files_and_words(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ("overlap@10 >= 0.5", "bytes <= 20")
    status, advice = advise(place, tmp_path, judged=False, target=target, advising={"encoding": "float16", "dims": [6]})
    printed = capsys.readouterr().out
    assert (status, advice["met"]) == (0, True)
    assert advice["dim"] in (4, 6, 8)
    assert [w["dim"] for w in advice["dims"]] == [2, 4, 6, 8, DIM]
    (chosen,) = (w for w in advice["dims"] if w["dim"] == advice["dim"])
    assert (chosen["bytes"], chosen["meets_targets"]) == (2 * advice["dim"], True)
    assert chosen["storage_saving"] == pytest.approx(4 * DIM / chosen["bytes"], abs=1e-3)
    assert f"Smallest dim that meets overlap@10 >= 0.5 and bytes <= 20: {advice['dim']} (" in printed
    assert "not trained for dim 6" in printed
    assert "rests on a proxy" in printed
    assert "fitted with labels" in printed
    assert "queries of a log" not in printed  # there are no queries here, rows of the source ask
    assert "learned from 50% of the rows" in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 100
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["command"], summary["dim"]) == ("advise", advice["dim"])
    assert json.loads((tmp_path / "config.json").read_text())["target"] == list(target)
    status, advice = advise(place, tmp_path, judged=False, target=("overlap@10 >= 0.999",))
    assert (status, advice["met"], advice["dim"]) == (1, False, None)
    assert f"No dim below {DIM} meets overlap@10 >= 0.999." in capsys.readouterr().out


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(place: Path, tmp_path: Path) -> None:
    contents = set()
    for workers in (1, 2):
        out = tmp_path / str(workers)
        advise(place, out, advising={"sample_rows": 300}, cluster={"workers": workers})
        contents.add((out / "advice.json").read_bytes())
    assert len(contents) == 1


def test_impossible_dims_are_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"advising.dims is \[13\]: give dims from 1 to 12"):
        advise(place, tmp_path, advising={"dims": [13]})
