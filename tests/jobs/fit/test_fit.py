"""Fit on a real Ray: what it writes, that a second run has nothing to do, and every input that it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adaptor
from adaptor.errors import InputError, RunError
from adaptor.neighbours import top_k
from adaptor.quality import overlap_at_k
from adaptor.recipes import RECIPE_VERSIONS
from jobs.fit import command as fit
from jobs.fit.fingerprints import input_fingerprint
from jobs.fit.launch import work_folder
from jobs.sources.source import open_source
from tests.jobs.fit.inputs import DIM, clustered, config, query_log, source, write

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def fitted(folder: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    out = tmp_path_factory.mktemp("fitted")
    assert fit.run(config(folder, out)) == 0
    return out


def evidence(out: Path, metric: str = "overlap@10", encoding: str = "float32") -> dict[tuple[str, int], float]:
    records = adaptor.load(out).document["evidence"]
    return {(r["method"], r["dim"]): r["value"] for r in records if (r["metric"], r["encoding"]) == (metric, encoding)}


def test_the_artefact_carries_evidence_that_it_beats_pca_and_equals_it_where_it_must(fitted: Path) -> None:
    found = evidence(fitted)
    assert {m for m, _ in found} == {"truncation", "pca", "adaptor"}
    assert np.mean([found["adaptor", w] - found["pca", w] for w in (4, 8)]) > 0.02
    assert found["adaptor", 16] == pytest.approx(found["pca", 16], abs=0.01)
    assert found["adaptor", 32] == found["truncation", 32] == pytest.approx(1, abs=0.01)


def test_every_encoding_has_evidence_where_it_has_codes(fitted: Path) -> None:
    floats, finer = evidence(fitted), evidence(fitted, encoding="int8")
    assert set(finer) == {("adaptor", dim) for dim in (8, 16, 32)}
    assert all(abs(finer[column] - floats[column]) < 0.05 for column in finer)
    coarser = [evidence(fitted, encoding=name)["adaptor", 32] for name in ("int8", "int4", "int2", "binary")]
    assert coarser == sorted(coarser, reverse=True)


def test_files_beside_the_artefact(fitted: Path, folder: Path) -> None:
    names = {p.name for p in fitted.iterdir()}
    files = {"adaptor.json", "adaptor.safetensors", "canary.safetensors", "codes.safetensors", "pca.safetensors"}
    assert names == files | {"config.json", "summary.json"}
    summary = json.loads((fitted / "summary.json").read_text())
    document = adaptor.load(fitted).document
    assert (summary["adaptor_id"], summary["fit_fingerprint"]) == (document["adaptor_id"], document["fit_fingerprint"])
    assert (summary["status"], summary["rows"], summary["sampled_rows"], summary["shards"]) == ("complete", 600, 600, 3)
    assert list(summary["phases"]) == ["start", "sample", "mine", "train", "measure"]
    assert (summary["source_snapshot"], summary["notes"]) == (None, [])
    assert 0 < sum(summary["phases"].values()) <= summary["seconds"]
    assert json.loads((fitted / "config.json").read_text())["source"]["uri"] == str(folder)


def test_the_rotation_is_that_of_the_whole_source(fitted: Path) -> None:
    vectors, _ = clustered()
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float64)
    _, _, expected = np.linalg.svd(unit)
    found = adaptor.load(fitted).rotation
    np.testing.assert_allclose(np.abs((found * expected.T).sum(0))[:16], 1, atol=1e-4)


def test_a_second_run_has_nothing_to_do(fitted: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (fitted / "adaptor.json").read_bytes()
    assert fit.run(config(folder, fitted, cluster={"workers": 2})) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (fitted / "adaptor.json").read_bytes() == before
    (fitted / "summary.json").unlink()  # a fit that was killed after the artefact was complete
    assert fit.run(config(folder, fitted)) == 0
    summary = json.loads((fitted / "summary.json").read_text())
    assert (summary["status"], summary["rows"], summary["sampled_rows"], summary["shards"]) == ("complete", 600, 600, 3)


def test_another_config_or_source_does_not_overwrite(fitted: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="fitted with another config"):
        fit.run(config(folder, fitted, training={"seed": 1}))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_adaptor(fitted: Path, folder: Path, tmp_path: Path) -> None:
    fit.run(config(folder, tmp_path))
    assert adaptor.load(tmp_path).adaptor_id == adaptor.load(fitted).adaptor_id
    assert (tmp_path / "adaptor.safetensors").read_bytes() == (fitted / "adaptor.safetensors").read_bytes()


@pytest.mark.slow  # three workers without Ray are in every run (test_training.py)
def test_two_workers_learn_what_one_learns(fitted: Path, folder: Path, tmp_path: Path) -> None:
    fit.run(config(folder, tmp_path, cluster={"workers": 2}))
    one, two = adaptor.load(fitted), adaptor.load(tmp_path)
    assert (fitted / "pca.safetensors").read_bytes() == (tmp_path / "pca.safetensors").read_bytes()
    vectors, _ = clustered()
    a, b = one.transform(vectors, dim=8), two.transform(vectors, dim=8)
    assert np.abs(a @ a.T - b @ b.T).mean() < 0.01
    assert evidence(tmp_path)["adaptor", 8] == pytest.approx(evidence(fitted)["adaptor", 8], abs=0.02)


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_without_steps_other_metrics_keep_their_full_dimension_scores(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str
) -> None:
    approximate = {"sample_rows": 600, "nprobe": 1 if metric == "l2" else 100}
    fit.run(config(folder, tmp_path, source={"metric": metric}, training={"steps": 0}, mining=approximate))
    found = adaptor.load(tmp_path).document["data"]["mining_recall"]
    assert 0.1 < found < 1 if metric == "l2" else found > 0.999
    assert f"it found {found:.1%} of the true neighbours" in capsys.readouterr().err
    vectors, _ = clustered(50)
    full = adaptor.load(tmp_path).transform(vectors, dim=DIM)
    np.testing.assert_allclose(full @ full.T, vectors @ vectors.T, atol=1e-4)
    assert not adaptor.load(tmp_path).unit_input


@pytest.mark.slow
def test_the_paper_recipe_runs(folder: Path, tmp_path: Path) -> None:
    fit.run(config(folder, tmp_path, adaptor={"recipe": "paper"}))
    document = adaptor.load(tmp_path).document
    assert (document["architecture"], document["recipe"]["name"]) == ("mlp", "paper")
    assert document["recipe"]["version"] == RECIPE_VERSIONS["paper"]


def test_a_bad_row_stops_the_fit_and_is_named_or_is_left_out_and_counted(tmp_path: Path) -> None:
    source(tmp_path / "source")
    vectors, _ = clustered(30)
    bad: list[Any] = [*vectors, None, [np.nan] * DIM, [0.0] * DIM, [1.0] * 5]
    write(tmp_path / "source" / "part-9.parquet", [f"x{i}" for i in range(34)], bad)
    with pytest.raises(InputError, match=r"part-9\.parquet, row 30: null vector \(and 3 more.*mining\.bad_rows: skip"):
        fit.run(config(tmp_path / "source", tmp_path / "out"))
    fit.run(config(tmp_path / "source", tmp_path / "out", mining={"bad_rows": "skip"}, training={"steps": 0}))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["sampled_rows"], summary["left_out_rows"]) == (630, 4)


def test_refused_inputs(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"adaptor\.dims: 64 is more than the source's dimension 32"):
        fit.run(config(folder, tmp_path / "a", adaptor={"dims": [8, 64]}))
    write(tmp_path / "tiny" / "a.parquet", ["a", "b"], clustered(2)[0])
    with pytest.raises(InputError, match="2 usable rows in the sample, at least 20"):
        fit.run(config(tmp_path / "tiny", tmp_path / "b"))
    with pytest.raises(InputError, match="does not exist or holds no"):
        fit.run(config(tmp_path / "nowhere", tmp_path / "c"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file"):
        fit.run(config(folder, tmp_path / "file"))
    write(tmp_path / "mixed" / "a.parquet", [f"a{i}" for i in range(30)], clustered(30)[0])
    write(tmp_path / "mixed" / "b.parquet", [f"b{i}" for i in range(30)], clustered(30)[0][:, :20])
    with pytest.raises(InputError, match=r"b\.parquet, row 0: wrong length 20 \(expected 32\)"):
        fit.run(config(tmp_path / "mixed", tmp_path / "d"))


@pytest.mark.parametrize("depth", [1, 2])
def test_no_checkpoint_is_written_behind_a_link_that_leads_out(folder: Path, tmp_path: Path, depth: int) -> None:
    settings = config(folder, tmp_path / "out")
    name = input_fingerprint(settings, open_source(settings.source).shards())
    outside, link = tmp_path / "outside", tmp_path / "out" / "/".join(work_folder(name).split("/")[:depth])
    outside.mkdir()
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(InputError, match=r"out is not writable: .*_work.* lies behind a link that leads out of"):
        fit.run(settings)
    assert list(outside.iterdir()) == []
    link.unlink()
    fit.run(config(folder, tmp_path / "out", training={"steps": 0}))
    assert not (tmp_path / "out" / "_work").exists()


def test_the_same_place_spelt_and_reached_otherwise_is_the_same_fit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(folder, tmp_path / "out", training={"steps": 0})
    assert fit.run(settings) == 0
    patient = settings.source.filesystem.model_copy(update={"attempts": 20})
    source = settings.source.model_copy(update={"uri": f"{folder}/", "filesystem": patient})
    assert fit.run(settings.model_copy(update={"source": source})) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_slower_of_two_runs_of_one_fit_has_nothing_to_complain_about(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"steps": 0}
    assert fit.run(config(folder, tmp_path / "first", training=quick)) == 0

    def cut_off(*_: Any) -> None:
        """The other run finishes, and takes the checkpoints away."""
        shutil.copytree(tmp_path / "first", tmp_path / "out", dirs_exist_ok=True)
        raise RunError("the last checkpoint could not be fetched")

    monkeypatch.setattr(fit, "_learn", cut_off)
    assert fit.run(config(folder, tmp_path / "out", training=quick)) == 0
    assert "another run finished this fit" in capsys.readouterr().out
    monkeypatch.setattr(shutil, "copytree", lambda *_, **__: None)  # while the other has not finished
    with pytest.raises(RunError):
        fit.run(config(folder, tmp_path / "other", training=quick))


@pytest.mark.slow  # what queries bring is tested without Ray, too (test_query_log.py)
def test_queries_without_labels_show_what_is_asked(
    folder: Path, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = query_log(tmp_path)
    assert fit.run(config(folder, tmp_path / "told", **sections)) == 0
    assert "200 queries without labels (no qrels) for low-dimensional outputs to learn from" in capsys.readouterr().err
    alone, told = adaptor.load(fitted), adaptor.load(tmp_path / "told")
    assert (told.document["data"]["queries"], told.document["supervised"]) == (200, False)
    assert "queries" not in alone.document["data"]
    # Other queries of the log find more of their neighbours; the full dimension is what it was.
    vectors, (fresh, _) = clustered()[0], clustered(200, seed=3)
    fresh[:, :6] *= 0.05
    numbers = np.arange(len(vectors))
    truth = top_k(fresh, vectors, numbers, 10, "cosine").ids
    kept = []
    for each in (alone, told):
        near = top_k(each.transform(fresh, dim=4), each.transform(vectors, dim=4), numbers, 10, "cosine").ids
        kept.append(overlap_at_k(truth, near, 10).mean())
    assert kept[1] > kept[0] + 0.03
    np.testing.assert_allclose(told.transform(fresh, dim=DIM), alone.transform(fresh, dim=DIM), atol=1e-6)
    # The same place is the same fit; without the log it is another one.
    assert fit.run(config(folder, tmp_path / "told", **sections)) == 0
    with pytest.raises(InputError, match="fitted with another config"):
        fit.run(config(folder, tmp_path / "told"))
