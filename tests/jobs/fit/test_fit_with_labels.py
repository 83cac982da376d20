"""Fit with labels: what they move, what of them is read, and that evidence stays unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import adaptor
from adaptor.errors import InputError
from adaptor.rows import unit_rows
from adaptor.training_set import hold_out
from cluster.settings import ClusterSection
from jobs.fit import command as fit
from jobs.fit.data import prepare
from jobs.fit.labels import read_labelled
from jobs.fit.neighbour_search import NeighbourSearch
from jobs.fit.sample import draw
from jobs.sources.source import open_source
from jobs.sources.whole_source import describe_all
from tests.jobs.fit.inputs import DIM, clustered, config, source, supervision, write

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source(tmp_path_factory.mktemp("source"))


def test_labels_move_the_relevant_documents_up(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit.run(config(folder, tmp_path / "out", **supervision(tmp_path)))
    document = adaptor.load(tmp_path / "out").document
    assert document["supervised"]
    assert document["architecture"] == "linear"
    assert document["held_out_score"]["stage"] == "supervised"
    assert document["held_out_score"]["best"] > document["held_out_score"]["initial"]
    assert 0 < document["held_out_score"]["alpha"] <= 1
    said = capsys.readouterr().err
    assert "labelled queries" in said
    assert document["notes"][-1].startswith("labels: nDCG@10 of held-out queries")
    assert document["notes"][-1] in said


def test_labelled_documents_outside_the_sample_are_read_from_the_source(folder: Path, tmp_path: Path) -> None:
    settings = config(folder, tmp_path / "out", mining={"sample_rows": 100}, **supervision(tmp_path))
    shards = open_source(settings.source).shards()
    sample = draw(settings, shards, describe_all(settings.source, shards), DIM)
    assert (sample.source_rows, len(sample.vectors), len(set(sample.ids))) == (600, 100, 100)
    prepared = prepare(
        settings, sample, read_labelled(settings, shards, sample), NeighbourSearch(ClusterSection(), "cosine"), print
    )
    labels = prepared.job.data.supervision
    assert labels is not None
    wanted = set(pq.read_table(tmp_path / "qrels.parquet")["doc_id"].to_pylist()) - {"doc-of-no-source"}
    trained = len(prepared.job.data.corpus) - prepared.job.data.anchors
    assert trained == len(wanted - {sample.ids[i] for i in hold_out(100, 0.1, 0)[0]})
    # The labels point at the right rows: of the query's own cluster, whose centre their mean is near.
    vectors, cluster = clustered()
    asked, query_cluster = clustered(80, seed=1)
    rotated = unit_rows(vectors) @ prepared.basis.matrix
    for query, document in zip(labels.labels.queries, labels.labels.documents, strict=True):
        row = int(np.abs(rotated - prepared.job.data.corpus[document]).sum(1).argmin())
        number = int(np.abs(unit_rows(asked) @ prepared.basis.matrix - labels.queries[query]).sum(1).argmin())
        assert cluster[row] == query_cluster[number]


def test_refused_labels(folder: Path, tmp_path: Path) -> None:
    sections = supervision(tmp_path)
    write(tmp_path / "short.parquet", ["q0"], clustered(1)[0][:, :20])
    with pytest.raises(InputError, match="20"):
        fit.run(config(folder, tmp_path / "a", **{**sections, "queries": {"uri": str(tmp_path / "short.parquet")}}))
    other = source(tmp_path / "other", rows=100)
    for path in other.glob("*.parquet"):
        write(path, [f"unknown-{path.stem}-{i}" for i in range(33)], clustered(33)[0])
    with pytest.raises(InputError, match=r"0 queries of .* have a relevant document in the source"):
        fit.run(config(other, tmp_path / "b", **sections))


def test_changed_judgments_are_another_fit(folder: Path, tmp_path: Path) -> None:
    settings = config(folder, tmp_path / "out", training={"steps": 0, "query_steps": 0}, **supervision(tmp_path))
    assert fit.run(settings) == 0
    # Without a step of the second stage the architecture is still the first one.
    assert adaptor.load(tmp_path / "out").architecture == "orthogonal"
    judged = pq.read_table(tmp_path / "qrels.parquet")
    pq.write_table(judged.slice(0, 100), tmp_path / "qrels.parquet")
    with pytest.raises(InputError, match="fitted with another config"):
        fit.run(settings)


def test_evidence_is_of_rows_that_no_stage_saw(folder: Path, tmp_path: Path) -> None:
    settings = config(folder, tmp_path / "out", **supervision(tmp_path))
    shards = open_source(settings.source).shards()
    sample = draw(settings, shards, describe_all(settings.source, shards), DIM)
    prepared = prepare(
        settings, sample, read_labelled(settings, shards, sample), NeighbourSearch(ClusterSection(), "cosine"), print
    )
    rotated = unit_rows(prepared.held_out) @ prepared.basis.matrix
    assert 0 < len(rotated) < len(prepared.job.data.held_out) == 60
    distances = np.abs(rotated[:, None, :] - prepared.job.data.corpus[None]).max(axis=2)
    assert distances.min() > 1e-4
