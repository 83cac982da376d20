"""The command end to end on a real Ray: what it writes, its exit status, and what bad input is told."""

from __future__ import annotations

import json
import re
import sys
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
    with_fitted_codes,
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


def values(records: list[dict[str, Any]]) -> dict[tuple[str, int, str, str], float]:
    """The values with an `@`, by method, dim, encoding and measure."""
    return {(r["method"], r["dim"], r["encoding"], r["metric"]): r["value"] for r in records if "@" in r["metric"]}


def test_on_the_whole_source_it_says_what_evaluate_says(place: Path, tmp_path: Path) -> None:
    tables = {name: {"uri": str(place / f"{name}.parquet")} for name in ("queries", "qrels")}
    config = evaluate_config(str(place / "source"), str(place / "adaptor"), tmp_path / "evaluation", **tables)
    assert evaluate(config) == 0
    exact = values(json.loads((tmp_path / "evaluation" / "metrics.json").read_text()))
    assert {encoding for _, _, encoding, _ in exact} == {"float32", "float16"}, "this adaptor has no codes"
    for rows in (ROWS * 2, None):
        _, advice = advise(place, tmp_path / str(rows), advising={"sample_rows": rows})
        estimated = values(advice["records"])
        assert estimated == pytest.approx(exact, abs=0.005), "rows with the same code come in another order"
        floats = {key for key in exact if key[2] == "float32"}
        assert {key: estimated[key] for key in floats} == pytest.approx({key: exact[key] for key in floats}, abs=1e-6)
        assert (advice["rows"], advice["searched_rows"]) == (ROWS + 1, ROWS)
        assert any("unusable" in note for note in advice["notes"])


def test_a_sample_is_extrapolated_to_the_size_of_the_source(place: Path, tmp_path: Path) -> None:
    _, whole = advise(place, tmp_path / "whole", judged=False, advising={"sampled_queries": ROWS})
    _, part = advise(place, tmp_path / "part", judged=False, advising={"sample_rows": 300, "sampled_queries": 300})
    assert part["searched_rows"] < 310
    trend = (r for r in part["trend"] if r["metric"] == "overlap@10")
    sampled = {(r["method"], r["dim"], r["rows"]): r["value"] for r in trend}
    for dim in (2, 4):
        exact = values(whole["records"])["pca", dim, "float32", "overlap@10"]
        extrapolated = values(part["records"])["pca", dim, "float32", "overlap@10"]
        alone = sampled["pca", dim, part["searched_rows"]]
        assert alone > exact + 0.03, "a sample alone is too kind"
        assert abs(extrapolated - exact) < abs(alone - exact)


def test_the_sampled_judged_rows_and_the_others_are_found(place: Path, tmp_path: Path) -> None:
    _, advice = advise(place, tmp_path, advising={"sample_rows": 100})
    assert any("9 times the rows that were searched" in note for note in advice["notes"])
    assert not any("fitted with labels" in note for note in advice["notes"])
    assert any("fitted with 1,234 queries of a log: if these are among them" in note for note in advice["notes"])
    assert advice["judged_queries"] == 60
    assert values(advice["records"])["original", DIM, "float32", "recall@100"] > 0.9
    assert not any("not in the source" in note for note in advice["notes"])


def test_exit_status_files_and_words(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ("overlap@10 >= 0.5", "bytes <= 20")
    status, advice = advise(place, tmp_path, judged=False, target=target, advising={"dims": [6]})
    printed = capsys.readouterr().out
    assert (status, advice["met"], advice["encoding"]) == (0, True, "float16")
    assert advice["dim"] in (4, 6, 8)
    sizes = {"float16": 2, "float32": 4}
    assert {(p["dim"], p["encoding"], p["bytes"]) for p in advice["pairs"]} == {
        (dim, name, size * dim) for name, size in sizes.items() for dim in (2, 4, 6, 8, DIM) if size * dim < 4 * DIM
    }
    (chosen,) = (p for p in advice["pairs"] if (p["dim"], p["encoding"]) == (advice["dim"], "float16"))
    assert (chosen["bytes"], chosen["meets_targets"], chosen["on_front"]) == (2 * advice["dim"], True, True)
    assert chosen["storage_saving"] == pytest.approx(4 * DIM / chosen["bytes"], abs=1e-3)
    assert chosen["total_bytes"] == (ROWS + 1) * chosen["bytes"]
    assert f"{chosen['bytes']} bytes: float16 x {advice['dim']} keeps " in printed
    assert "It is the smallest that meets overlap@10 >= 0.5 and bytes <= 20 (Overlap@10 0." in printed
    assert "not trained for dim 6" in printed
    assert "rests on a proxy" in printed
    assert "fitted with labels" in printed
    assert "queries of a log" not in printed  # there are no queries here, rows of the source ask
    assert "learned from 50% of the rows" in printed
    assert max(map(len, printed.splitlines()[:-2])) <= 100
    assert printed.splitlines()[-2:] == [str(tmp_path / name) for name in ("advice.json", "advice.svg")]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["command"], summary["dim"]) == ("advise", advice["dim"])
    assert json.loads((tmp_path / "config.json").read_text())["target"] == list(target)
    status, advice = advise(place, tmp_path, judged=False, target=("overlap@10 >= 0.999", "bytes <= 20"))
    assert (status, advice["met"], advice["dim"], advice["encoding"]) == (1, False, None, None)
    assert "of today meets overlap@10 >= 0.999 and bytes <= 20." in " ".join(capsys.readouterr().out.split())


WIDE = 32


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of wider vectors that share a direction, and an adaptor with codes for it."""
    folder = tmp_path_factory.mktemp("coded")
    rows = (np.random.default_rng(0).normal(size=(600, WIDE)) * 0.9 ** np.arange(WIDE) + 0.3).astype(np.float32)
    save_source(folder / "source", rows, 2)
    save_adaptor(with_fitted_codes(make_adaptor(rows, (8, 16, WIDE)), rows), folder / "adaptor")
    return folder


def test_codes_are_chosen_by_their_bytes_and_drawn(
    coded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, advice = advise(coded, tmp_path, judged=False, target=("overlap@10 >= 0.6",))
    assert status == 0
    pairs = {(p["dim"], p["encoding"]): p for p in advice["pairs"]}
    bits = {"float32": 32, "float16": 16, "int8": 8, "int4": 4, "int2": 2, "binary": 1}
    assert {key: p["bytes"] for key, p in pairs.items()} == {
        (dim, name): dim * b // 8 for name, b in bits.items() for dim in (8, 16, WIDE) if dim * b < WIDE * 32
    }
    good = [p for p in pairs.values() if p["values"]["overlap@10"]["ci_low"] >= 0.6]
    assert advice["bytes"] == min(p["bytes"] for p in good) == pairs[advice["dim"], advice["encoding"]]["bytes"]
    assert advice["encoding"] in ("int8", "int4", "int2", "binary"), "numbers of 16 bits need more"
    assert advice["bytes"] < advice["other_methods"]["pca"]["bytes"]
    front = [p for p in advice["pairs"] if p["on_front"]]
    assert [p["bytes"] for p in front] == sorted({p["bytes"] for p in front})
    printed = capsys.readouterr().out
    assert re.search(rf"^ *{advice['bytes']} .* {advice['encoding']} x {advice['dim']} ", printed, re.MULTILINE)
    assert f"--output.dim {advice['dim']} --output.encoding {advice['encoding']}." in " ".join(printed.split())
    drawn = (tmp_path / "advice.svg").read_text()
    assert "Adaptor, int4 by bytes: 4: 0." in drawn
    assert "bytes a vector" in drawn


def test_without_what_draws_the_picture_all_else_is_written(
    coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "advice.svg").write_text("of an earlier run")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    _, advice = advise(coded, tmp_path, judged=False, advising={"encodings": ["int4"]})
    assert {p["encoding"] for p in advice["pairs"]} == {"float32", "int4"}
    assert not (tmp_path / "advice.svg").exists()
    assert capsys.readouterr().err.startswith("matryoshka advise: advice.svg is left out: jinja2 is not installed")


def test_a_database_is_given_only_what_it_holds_in_the_way_it_searches(
    coded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, plain = advise(coded, tmp_path / "plain", judged=False)
    status, advice = advise(coded, tmp_path / "out", judged=False, database="pgvector", target=("bytes <= 40",))
    printed = " ".join(capsys.readouterr().out.split())
    assert status == 0
    assert {p["encoding"] for p in advice["pairs"]} == {"float32", "float16", "binary"}
    twice = [p for p in advice["pairs"] if p["rescore"]]
    assert {(p["dim"], p["rescore"]["dim"], p["bytes"]) for p in twice} == {
        (dim, better, dim // 8 + 2 * better) for dim in (8, 16, WIDE) for better in (8, 16, WIDE)
    }
    assert all(p["searched_bytes"] == p["dim"] // 8 for p in twice)

    def overlap(told: dict[str, Any], dim: int, encoding: str, better: int | None = None) -> float:
        """Of one pair."""
        (pair,) = (
            p
            for p in told["pairs"]
            if (p["dim"], p["encoding"], (p["rescore"] or {}).get("dim")) == (dim, encoding, better)
        )
        return float(pair["values"]["overlap@10"]["value"])

    assert overlap(advice, WIDE, "float16") == overlap(plain, WIDE, "float16")
    assert overlap(advice, WIDE, "binary") < overlap(plain, WIDE, "binary"), "bits with bits, not with floats"
    assert overlap(advice, WIDE, "binary", WIDE) > overlap(advice, WIDE, "binary") + 0.1
    assert "PostgreSQL with pgvector holds vector (float32), halfvec (float16) and bit" in printed
    assert "This is an emulation of PostgreSQL with pgvector in numpy" in printed
    with pytest.raises(InputError, match=r"pgvector holds none of int4: take float32, float16, binary"):
        advise(coded, tmp_path / "no", judged=False, database="pgvector", advising={"encodings": ["int4"]})
    _, advice = advise(coded, tmp_path / "redis", judged=False, database="redis", target=("bytes <= 40",))
    assert (advice["encoding"], advice["bytes"]) == ("float32", WIDE + 4), "it makes int8 of floats by itself"
    _, advice = advise(coded, tmp_path / "duckdb", judged=False, database="duckdb", target=("bytes <= 64",))
    assert (advice["encoding"], advice["bytes"], advice["dim"]) == ("float32", 64, 16)
    assert advice["other_methods"]["pca"]["encoding"] == "float32", "it holds no float16"


def test_where_nothing_is_smaller_nothing_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    save_source(tmp_path / "source", rows, 1)
    save_adaptor(make_adaptor(rows, (8,)), tmp_path / "adaptor")
    status, advice = advise(
        tmp_path,
        tmp_path / "out",
        judged=False,
        database="duckdb",
        target=("bytes <= 99",),
        advising={"sampled_queries": 20},
    )
    assert (status, advice["pairs"], advice["dim"]) == (1, [], None)
    assert "There is nothing smaller to look at" in capsys.readouterr().out
    assert not (tmp_path / "out" / "advice.svg").exists()


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
