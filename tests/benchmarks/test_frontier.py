"""The frontier measures what it says: bytes, searches in codes, choices, and what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from adaptor.artefact import Adaptor
from adaptor.rows import unit_rows
from tests.benchmarks import frontier, image_sets
from tests.benchmarks.contest import faiss_codes, learned_rotations, untrained
from tests.benchmarks.contest.asked import CHOICE, TEST, Asked, asked, some
from tests.benchmarks.contest.codes import CodeMethod, Material, Pair, budgets, code_scores, nearest
from tests.benchmarks.contest.frontier_results import choose
from tests.benchmarks.contest.frontier_runs import Task
from tests.benchmarks.contest.prefixes import prefixes, random_rotation
from tests.benchmarks.contest.sets import SearchSet, load

CHEAP = {name: method for name, method in frontier.METHODS.items() if method.map != "default"}


def material(there: SearchSet) -> Material:
    """Where an adaptor is asked for, PCA will do."""

    def adaptor(name: str) -> Adaptor:
        """Of any method."""
        return untrained.pca(there, 0)

    return Material(there, 0, adaptor)


@pytest.fixture
def small(there: SearchSet) -> Asked:
    """The test queries of the tiny set in two halves."""
    return Asked(there, {CHOICE: some(there.test, 30), TEST: there.test})


def test_budgets_are_those_of_the_targets_and_of_the_ladder() -> None:
    assert budgets(384, ladder=False) == [32, 64, 128]
    assert budgets(384) == [16, 32, 48, 64, 96, 128, 192, 256]
    assert budgets(256, ladder=False) == [21, 42, 85]
    assert {64, 128, 256} < {*budgets(768)}


def test_similarities_differ_where_decoded_lengths_do() -> None:
    draw = np.random.default_rng(0)
    queries = draw.normal(size=(7, 5)).astype(np.float32)
    documents = (draw.normal(size=(40, 5)) * draw.uniform(0.2, 3, size=(40, 1))).astype(np.float32)
    dots = queries @ documents.T
    expected = {
        "dot": dots,
        "cosine": dots / np.linalg.norm(documents, axis=1),
        "l2": -np.linalg.norm(queries[:, None] - documents[None], axis=2),
    }
    for similarity, scores in expected.items():
        found = nearest(queries, documents, similarity)  # type: ignore[arg-type]  # one of the three
        assert found.tolist() == np.argsort(-scores, axis=1)[:, :10].tolist(), similarity
    assert len({nearest(queries, documents, s).tobytes() for s in ("dot", "cosine", "l2")}) == 3


@pytest.mark.parametrize("name", CHEAP)
def test_codes_keep_to_the_budget_and_find_something(name: str, there: SearchSet) -> None:
    method, budget = CHEAP[name], 24
    found = {}
    coder = method.coder(material(there))
    for pair in method.pairs(there.vectors.shape[1], budget):
        code = coder(pair)
        assert 0 < code.bytes <= budget
        assert pair.dim <= there.vectors.shape[1]
        found[pair] = code_scores(code, there.test)["overlap@10"].mean()
    assert max(found.values()) > 0.25  # ten rows at random find 0.03


def test_factors_count_as_bytes() -> None:
    assert [faiss_codes.rabitq_bytes(64, bits) for bits in (1, 2)] == [16, 36]
    assert [*faiss_codes.rabitq_pairs(384, 12)] == [Pair(32, "rabitq1")]


def test_a_comparison_with_decoded_vectors_is_the_search_of_faiss(there: SearchSet) -> None:
    rows = prefixes(there, 0).pca(16).transform(there.vectors)
    queries = prefixes(there, 0).pca(16).transform(there.test.vectors)
    for metric, similarity in ((faiss.METRIC_INNER_PRODUCT, "dot"), (faiss.METRIC_L2, "l2")):
        index = faiss.IndexScalarQuantizer(16, faiss.ScalarQuantizer.QT_4bit, metric)
        index.train(rows)
        index.add(rows)
        coder = faiss_codes.FAISS["faiss SQ4"].coder(material(there))
        ours = coder(Pair(16, f"sq4 {similarity}")).search(there.test.vectors)
        assert (ours == index.search(queries, 10)[1]).mean() > 0.97


def test_learned_rotations_bring_rows_nearer_to_their_codes(there: SearchSet) -> None:
    rows = there.vectors - there.vectors.mean(axis=0)
    dim = rows.shape[1]
    start, turn = random_rotation(dim, 0), learned_rotations.itq(rows, random_rotation(dim, 0))
    agreement = [np.abs(rows @ rotation).sum() for rotation in (start, turn)]
    assert agreement[1] > 1.02 * agreement[0]
    np.testing.assert_allclose(turn @ turn.T, np.eye(dim), atol=1e-4)
    errors = []
    for rotation in (np.eye(dim, dtype=np.float32), learned_rotations.ash(rows, 2)):
        step = learned_rotations.least_squares_step(rows @ rotation, 2)
        levels = (np.clip(np.floor(rows @ rotation / step), -2, 1) + 0.5) * step
        errors.append(np.square(rows @ rotation - levels).sum())
    assert errors[1] < 0.98 * errors[0]


def test_queries_for_choosing_are_never_those_that_are_reported_on(tmp_path: Path) -> None:
    folder = made(tmp_path)
    found = asked(load("made", folder), folder, 25)
    assert [len(queries.vectors) for queries in found.queries.values()] == [25, 25]
    seen = [{row.tobytes() for row in queries.vectors} for queries in found.queries.values()]
    assert not seen[0] & seen[1]
    assert {len(queries.judged) for queries in found.queries.values()} == {25}
    assert 0 < found.original(TEST) <= 1


def test_the_pair_is_chosen_on_the_other_queries(small: Asked, tmp_path: Path) -> None:
    pairs = [Pair(8, "one"), Pair(8, "two")]
    method = CodeMethod(lambda input_dim, budget: pairs, lambda given: pytest.fail("all is kept"))
    task = Task(tmp_path, small, "fake", method, 0, [32])
    for pair, on_choice, on_test in zip(pairs, (0.6, 0.5), (0.2, 0.9), strict=True):
        scores = {"choice ndcg@10": np.full(3, on_choice), "test ndcg@10": np.full(3, on_test)}
        task.kept.keep_scores(f"8-{pair.encoding}", {"bytes": np.array([32.0]), **scores})
    task.run()
    (chosen,) = choose(task, 0.4)
    assert chosen.run.pair == pairs[0]
    assert chosen.kept == pytest.approx(0.5)


def test_a_second_run_does_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    command = ["frontier", "--data", str(tmp_path), "--sets", "made", "--output", str(tmp_path / "out"), "--seeds", "1"]
    command += ["--methods", "PCA, same codes", "faiss SQ4", "--targets", "--queries", "25", "--threads", "1"]
    monkeypatch.setattr("sys.argv", command)
    assert frontier.main() == 0
    records = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert {"set", "method", "dim", "encoding", "bytes", "metric", "value", "seed"} <= records[0].keys()
    assert {record["metric"] for record in records} == {"ndcg@10", "overlap@10"}
    chosen = json.loads((tmp_path / "out" / "chosen.json").read_text())
    assert all(record["bytes"] <= record["budget"] for record in chosen)
    assert "faiss SQ4" in (tmp_path / "out" / "frontier.md").read_text()
    assert (tmp_path / "out" / "bytes-made.svg").stat().st_size > 0
    done = {name: replace(method, coder=lambda given: pytest.fail("this was done")) for name, method in CHEAP.items()}
    monkeypatch.setattr(frontier, "METHODS", done)
    assert frontier.main() == 0


def test_image_sets_judge_by_class() -> None:
    pixels = np.random.default_rng(0).uniform(size=(5, 8, 8)).astype(np.float32)
    found = image_sets.features(lambda block: block[:, :2], pixels)
    assert found.shape == (5, 2)
    np.testing.assert_allclose(found[:, 0], (pixels.mean(axis=(1, 2)) - 127 / 255) / (128 / 255), atol=0.05)


def made(folder: Path) -> Path:
    """A set of three classes in 24 dimensions, written as the images are."""
    draw = np.random.default_rng(0)
    classes = draw.integers(3, size=400)
    vectors = draw.normal(size=(3, 24))[classes] + 2 * draw.normal(size=(400, 24))
    image_sets.write_set(folder / "made", unit_rows(vectors.astype(np.float32)), classes, 0)
    there = load("made", folder / "made")
    assert there.test.judged
    row_of = {name: classes[int(name[1:])] for name in there.ids}
    kind = {len({row_of[there.ids[row]] for row in rows}) for rows in there.test.judged.values()}
    assert kind == {1}
    torch.set_num_threads(1)
    return folder / "made"
