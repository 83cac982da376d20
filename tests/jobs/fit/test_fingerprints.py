"""The two fingerprints of a fit: one of where its inputs lie, one of what is in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.fit.fingerprints import fit_fingerprint, input_fingerprint
from jobs.fit.labels import read_labelled
from jobs.fit.query_log import read_query_log
from jobs.fit.sample import draw
from jobs.sources.source import open_source
from jobs.sources.whole_source import describe_all
from tests.jobs.fit.inputs import DIM, clustered, config, query_log, source, supervision, write

pytestmark = pytest.mark.usefixtures("ray_cluster")


def fingerprints(folder: Path, **sections: Any) -> tuple[str, str]:
    """Of a fit on the source in a folder: that of the contents, and that of the places."""
    settings = config(folder, folder / "out", **sections)
    shards = open_source(settings.source).shards()
    sample = draw(settings, shards, describe_all(settings.source, shards), DIM)
    queries = read_query_log(settings, DIM) or read_labelled(settings, shards, sample)
    return fit_fingerprint(settings, sample, queries), input_fingerprint(settings, shards)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return source(tmp_path / "source")


def test_a_copy_elsewhere_has_the_same_contents(folder: Path, tmp_path: Path) -> None:
    contents, places = fingerprints(folder)
    shutil.copytree(folder, tmp_path / "copy")
    copied, copied_places = fingerprints(tmp_path / "copy")
    assert copied == contents
    assert copied_places != places
    # How fast and how safely it is made is no part of it.
    assert fingerprints(folder, training={"checkpoint_seconds": 0}, cluster={"workers": 2}) == (contents, places)


def test_another_setting_seed_row_or_id_is_another_fit(folder: Path) -> None:
    seen = [fingerprints(folder)[0]]
    for sections in (
        {"training": {"seed": 1}},
        {"training": {"learning_rate": 0.5}},
        {"source": {"metric": "dot"}},
        {"mining": {"sample_rows": 599}},
    ):
        seen.append(fingerprints(folder, **sections)[0])
    vectors, _ = clustered()
    vectors[7, 3] = np.nextafter(vectors[7, 3], np.float32(9))
    write(folder / "part-0.parquet", [f"doc-{i}" for i in range(200)], vectors[:200])
    seen.append(fingerprints(folder)[0])
    write(folder / "part-0.parquet", ["another", *(f"doc-{i}" for i in range(1, 200))], vectors[:200])
    seen.append(fingerprints(folder)[0])
    assert len(set(seen)) == len(seen)


def test_queries_and_judgments_are_part_of_it(folder: Path, tmp_path: Path) -> None:
    log, labels = query_log(tmp_path), supervision(tmp_path)
    seen = [fingerprints(folder, **sections)[0] for sections in ({}, log, labels)]
    judged = pq.read_table(tmp_path / "qrels.parquet")
    pq.write_table(judged.slice(1), tmp_path / "qrels.parquet")
    seen.append(fingerprints(folder, **labels)[0])
    write(tmp_path / "log.parquet", ["asked"], clustered(1)[0])
    seen.append(fingerprints(folder, **log)[0])
    assert len(set(seen)) == len(seen)
    shutil.copy(tmp_path / "log.parquet", tmp_path / "moved.parquet")
    assert fingerprints(folder, queries={"uri": str(tmp_path / "moved.parquet")})[0] == seen[-1]
