"""Rows of another space and rows on another topic are told apart, and from rows of the fit's own source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from adaptor.artefact import Adaptor, with_codes
from adaptor.drift import drift_reference, drift_sample, of_another_space, of_another_topic
from adaptor.rows import Floats
from tests.jobs.evaluate.inputs import make_adaptor


def scifact(root: Path) -> Floats:
    """The bundled vectors, (5183, 384)."""
    tables = [pq.read_table(path) for path in sorted((root / "tests/data/scifact/corpus").glob("*.parquet"))]
    numbers = [table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False) for table in tables]
    return np.concatenate(numbers).astype(np.float32).reshape(-1, 384)


def promising(vectors: Floats, held_out: Floats) -> Adaptor:
    """An adaptor with the reference of these held-out rows."""
    bare = make_adaptor(vectors, (16, 32, 64))
    return with_codes(bare, {}, drift=drift_reference(bare, held_out))


@pytest.fixture(scope="module")
def store(root: Path) -> tuple[Adaptor, Floats]:
    """An adaptor of seven eighths of the rows, and the rest."""
    vectors = scifact(root)
    own, rest = vectors[:-640], vectors[-640:]
    shuffled = np.random.default_rng(0).permutation(own)
    return promising(shuffled[600:4000], shuffled[:600]), rest


def test_rows_of_the_same_source_are_no_drift(store: tuple[Adaptor, Floats]) -> None:
    adaptor, rest = store
    for start in (0, 256):
        sample = drift_sample(adaptor, rest[start : start + 256])
        assert sample is not None
        assert (sample.rows, sample.apart) == (256, 0)
        assert not of_another_space([sample])
        assert not of_another_topic(adaptor, [sample])


@pytest.mark.parametrize("rows", [1, 5, 60, 256])
def test_a_rotated_shard_is_of_another_space(store: tuple[Adaptor, Floats], rows: int) -> None:
    adaptor, rest = store
    for seed in range(10):
        rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(384, 384)))[0].astype(np.float32)
        foreign = drift_sample(adaptor, rest[:rows] @ rotation)
        assert foreign is not None
        assert of_another_space([foreign])
    assert not of_another_space([])


def test_a_tenth_of_rotated_rows_is_seen(store: tuple[Adaptor, Floats]) -> None:
    adaptor, rest = store
    mixed = rest[:256].copy()
    mixed[::10] = np.roll(mixed[::10], 7, axis=1)
    sample = drift_sample(adaptor, mixed)
    assert sample is not None
    assert of_another_space([sample])


def test_a_narrow_topic_that_the_fit_did_not_know(store: tuple[Adaptor, Floats]) -> None:
    """Rows of the same space whose differences lie along the fit's weakest axes."""
    adaptor, rest = store
    rng = np.random.default_rng(1)
    weak = adaptor.rotation[:, 150:240]
    rows = np.asarray(rest[:1] + 0.06 * rng.normal(size=(256, 90)) @ weak.T, np.float32)
    sample = drift_sample(adaptor, rows)
    assert sample is not None
    assert not of_another_space([sample])
    assert of_another_topic(adaptor, [sample])


def test_what_cannot_be_told_raises_no_alarm() -> None:
    """Vectors without leading axes, few rows, few dims, an artefact without a reference, no rows."""
    rng = np.random.default_rng(2)
    round_ones = rng.normal(size=(800, 32)).astype(np.float32)
    adaptor = promising(round_ones[200:], round_ones[:200])
    assert adaptor.document["drift"]["least_kept"] is None or adaptor.document["drift"]["axes"] < 32
    sample = drift_sample(adaptor, rng.normal(size=(200, 32)).astype(np.float32))
    assert sample is not None
    assert not of_another_space([sample])
    assert not of_another_topic(adaptor, [sample])
    few = promising(round_ones, round_ones[:20])
    assert few.document["drift"] == {"axes": few.document["drift"]["axes"], "least_kept": None, "rows": 20, "dim": None}
    sample = drift_sample(few, round_ones[:5])
    assert sample is not None
    assert (sample.apart, sample.lost, sample.overlap) == (0, None, None)
    assert drift_sample(make_adaptor(round_ones, (4, 8)), round_ones) is None
    assert drift_sample(adaptor, round_ones[:0]) is None
