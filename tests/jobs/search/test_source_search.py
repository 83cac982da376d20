"""The search against a brute force in float64, and the promise that no cut of the source changes it."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptor.artefact import Adaptor, build
from adaptor.baselines import METHODS, ORIGINAL, Column
from adaptor.errors import InputError
from adaptor.rows import Floats, Ids
from adaptor.settings import Metric
from jobs.config.sections import SourceSection
from jobs.search import source_search as source_search
from jobs.search.columns import Columns
from jobs.search.source_search import SHARD_STRIDE, SearchResult, SearchSpec, join, search_shards
from jobs.search.tasks import cut_runs
from jobs.sources.source import Shard, open_source
from tests.jobs.evaluate.inputs import make_adaptor, save_source, save_vectors

DIM, DIMS = 12, (3, 5, 12)


def some_vectors(rows: int, seed: int = 0) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    vectors[rows // 2] = vectors[1]  # an exact tie between rows of different shards
    return vectors


def similarity(query: Floats, vectors: Floats, metric: Metric) -> NDArray[np.float64]:
    left, right = query.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return -np.asarray(np.square(right - left).sum(axis=1))
    if metric == "cosine":
        left, right = left / np.linalg.norm(left), right / np.linalg.norm(right, axis=1, keepdims=True)
    return np.asarray(right @ left)


def short(adaptor: Adaptor, vectors: Floats, column: Column) -> Floats:
    """Every column written out for itself, without prefixes of anything wider."""
    if column.method == "original":
        return vectors
    if column.method == "truncation":
        return vectors[:, : column.dim]
    if column.method == "pca":
        return vectors @ adaptor.rotation[:, : column.dim]
    return adaptor.transform(vectors, dim=column.dim)


def new_search(uri: str, adaptor: Adaptor, queries: Floats, exclude: Ids | None = None, depth: int = 9) -> SearchSpec:
    return SearchSpec(
        source=SourceSection(uri=uri, metric=adaptor.metric),
        columns=Columns(adaptor, adaptor.dims),
        queries=queries,
        exclude=exclude,
        judged_ids=("doc-1", "doc-20", "7", "nobody"),
        depth=depth,
    )


def search(spec: SearchSpec, runs: int = 1, backwards: bool = False) -> SearchResult:
    placed = list(enumerate(open_source(spec.source).shards()))
    parts = [search_shards(spec, [placed[i] for i in cut]) for cut in np.array_split(np.arange(len(placed)), runs)]
    parts = parts[::-1] if backwards else parts
    found = parts[0]
    for part in parts[1:]:
        found = join(found, part)
    return found


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("architecture", ["linear", "mlp"])
def test_every_column_finds_what_a_brute_force_finds(tmp_path: Path, metric: Metric, architecture: str) -> None:
    vectors, queries = some_vectors(90), some_vectors(6, seed=1)
    adaptor = make_adaptor(vectors, DIMS, metric, architecture)
    found = search(new_search(save_source(tmp_path, vectors, 3), adaptor, queries))
    shortened = [Column(name, dim) for name in METHODS for dim in DIMS]
    assert list(found.neighbours) == [Column(ORIGINAL, adaptor.input_dim), *shortened]
    for column, neighbours in found.neighbours.items():
        documents, asked = short(adaptor, vectors, column), short(adaptor, queries, column)
        for i, row in enumerate(neighbours.ids):
            expected = np.argsort(-similarity(asked[i], documents, metric), kind="stable")[:9]
            rows = row // SHARD_STRIDE * 30 + row % SHARD_STRIDE
            assert rows.tolist() == expected.tolist(), column


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("architecture", ["linear", "mlp"])
def test_nested_methods_are_prefixes_up_to_length(metric: Metric, architecture: str) -> None:
    vectors = some_vectors(20)
    adaptor = make_adaptor(vectors, DIMS, metric, architecture)
    for column, quick in Columns(adaptor, DIMS).documents(vectors):
        slow = short(adaptor, vectors, column)
        if metric == "cosine":
            quick, slow = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (quick, slow))
        np.testing.assert_allclose(quick, slow, atol=1e-6)
    assert METHODS == ("truncation", "pca", "adaptor")


def test_a_map_of_narrow_outputs_is_used_where_it_serves() -> None:
    vectors = some_vectors(20)
    plain = make_adaptor(vectors, DIMS, architecture="orthogonal")
    head = np.linspace(-1, 1, 4 * DIMS[0], dtype=np.float32).reshape(-1, DIMS[0])
    mapped = build(plain.document, {**plain.tensors, "head": head}, plain.rotation)
    for column, quick in Columns(mapped, DIMS).documents(vectors):
        if column.method == "adaptor":
            assert np.array_equal(quick, mapped.transform(vectors, dim=column.dim))


def test_the_cut_of_the_source_changes_nothing(tmp_path: Path) -> None:
    vectors = some_vectors(100)
    spec = new_search(save_source(tmp_path, vectors, 10), make_adaptor(vectors, DIMS), some_vectors(4, seed=1))
    whole = search(spec)
    for runs, backwards in ((2, False), (5, True), (10, True)):
        cut = search(spec, runs, backwards)
        for column, neighbours in whole.neighbours.items():
            assert np.array_equal(neighbours.ids, cut.neighbours[column].ids)
            other = cut.neighbours[column].similarities
            if column.method == "original":
                assert np.array_equal(neighbours.similarities, other)
            # The last bits of a shortened row depend on how many rows were multiplied with it.
            np.testing.assert_allclose(neighbours.similarities, other, atol=1e-6)
        assert np.array_equal(whole.row_numbers, cut.row_numbers)
        assert np.array_equal(whole.vectors, cut.vectors)
        assert (whole.judged_rows, whole.rows, whole.left_out) == (cut.judged_rows, cut.rows, cut.left_out)


def test_ties_go_to_the_earlier_row_and_a_sampled_query_never_finds_itself(tmp_path: Path) -> None:
    vectors = some_vectors(100)
    adaptor = make_adaptor(vectors, DIMS)
    uri = save_source(tmp_path, vectors, 4)
    twin = 2 * SHARD_STRIDE  # row 50 of 100 in shards of 25 is the same vector as row 1
    found = search(new_search(uri, adaptor, vectors[[1]]), 4, backwards=True)
    assert {tuple(n.ids[0, :2]) for n in found.neighbours.values()} == {(1, twin)}
    found = search(new_search(uri, adaptor, vectors[[1]], exclude=np.array([1])))
    assert {n.ids[0, 0] for n in found.neighbours.values()} == {twin}
    assert all(1 not in n.ids for n in found.neighbours.values())


def test_unusable_rows_are_counted_and_never_found(tmp_path: Path) -> None:
    vectors = some_vectors(30)
    rows = [row.tolist() for row in vectors]
    rows[3], rows[4], rows[5], rows[7] = None, [float("nan")] * DIM, [1.0, 2.0], [1e30] * DIM
    ids = [None if row == 6 else f"doc-{row}" for row in range(30)]
    save_vectors(tmp_path / "a.parquet", ids, rows)
    spec = new_search(str(tmp_path), make_adaptor(vectors, DIMS), vectors[[3]], depth=100)
    found = search(spec)
    assert found.rows == 30
    reasons = ["null vector", "NaN", "wrong length 2 (expected 12)", "null id", "overflow"]
    assert found.left_out == dict.fromkeys(reasons, 1)
    for neighbours in found.neighbours.values():
        assert set(neighbours.ids[0].tolist()) == set(range(30)) - {3, 4, 5, 6, 7} | {-1}


def test_judged_ids_are_found_wherever_they_stand(tmp_path: Path) -> None:
    vectors = some_vectors(40)
    uri = save_source(tmp_path, vectors, 2)
    save_vectors(tmp_path / "part-009.parquet", ["doc-20", "other"], vectors[:2].tolist())
    found = search(new_search(uri, make_adaptor(vectors, DIMS), vectors[:1]), runs=3)
    assert found.judged_rows == {"doc-1": [1], "doc-20": [SHARD_STRIDE, 2 * SHARD_STRIDE]}


def test_integer_ids_match_as_text(tmp_path: Path) -> None:
    vectors = some_vectors(10)
    save_vectors(tmp_path / "a.parquet", list(range(10)), vectors.tolist())
    spec = new_search(str(tmp_path), make_adaptor(vectors, DIMS), vectors[:1], depth=5)
    assert search(spec).judged_rows == {"7": [7]}


def test_the_originals_of_the_nearest_are_kept(tmp_path: Path) -> None:
    vectors, queries = some_vectors(60), some_vectors(3, seed=2)
    found = search(new_search(save_source(tmp_path, vectors, 1), make_adaptor(vectors, DIMS), queries, depth=20))
    nearest = np.unique(found.neighbours[Column("original", DIM)].ids[:, :10])
    assert np.array_equal(found.row_numbers, nearest)
    assert np.array_equal(found.vectors, vectors[nearest])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_search, "_BLOCK_BYTES", 0)  # blocks of the least number of rows
    vectors = some_vectors(2000)
    adaptor = make_adaptor(vectors, DIMS)
    peaks = []
    for shards in (3, 24):
        for shard in range(shards):
            save_vectors(tmp_path / str(shards) / f"{shard:02}.parquet", list(range(2000)), vectors.tolist())
        spec = new_search(str(tmp_path / str(shards)), adaptor, vectors[:5])
        tracemalloc.start()
        assert search(spec).rows == 2000 * shards
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]  # 8 if it grew; whether two blocks are held at the worst moment is chance


def test_a_shard_that_changes_is_refused(tmp_path: Path) -> None:
    vectors = some_vectors(20)
    uri = save_source(tmp_path, vectors, 1)
    (shard,) = open_source(SourceSection(uri=uri)).shards()
    save_source(tmp_path, vectors[::-1], 1)
    with pytest.raises(InputError, match=r"part-000\.parquet changed while it was read"):
        search_shards(new_search(uri, make_adaptor(vectors, DIMS), vectors[:2]), [(0, shard)])


@pytest.mark.parametrize(("sizes", "workers"), [([8] * 8, 2), ([1], 4), ([300 << 20] * 40, 2), ([5, 1000, 5], 3)])
def test_runs_cover_all_shards_once_in_order(sizes: list[int], workers: int) -> None:
    shards = [Shard(f"{i:03}.parquet", size, "1") for i, size in enumerate(sizes)]
    runs = list(cut_runs(shards, workers))
    assert [placed for run in runs for placed in run] == list(enumerate(shards))
    assert all(runs)
    assert len(runs) >= min(workers, len(shards)) - (len(set(sizes)) > 1)
