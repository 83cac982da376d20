"""Which kinds of column are measured: what the configuration names, the adaptor has codes for, and a database holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptor.errors import InputError
from adaptor.settings import Metric
from jobs.config.advise import AdviseConfig
from jobs.search.context import open_context
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor, save_source, with_fitted_codes

ROWS = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)


def kinds(
    folder: Path,
    database: str | None = None,
    encodings: list[str] | None = None,
    metric: Metric = "cosine",
    coded: bool = True,
) -> list[str]:
    """Names of the adaptor's columns besides float32."""
    plain = make_adaptor(ROWS, (8, 16), metric)
    config = AdviseConfig.model_validate(
        {
            "source": {"uri": save_source(folder / "source", ROWS, 1), "metric": metric},
            "adaptor": {"uri": save_adaptor(with_fitted_codes(plain, ROWS) if coded else plain, folder / "adaptor")},
            "output": {"uri": "unused"},
            "advising": {"encodings": encodings},
        }
    )
    context = open_context(config, config.advising, "advising", with_trained=True, database=database)
    return list(dict.fromkeys(column.encoding for column in context.columns.stored))


@pytest.mark.parametrize(
    ("database", "encodings", "expected"),
    [
        (None, None, ["float16", "int8", "int4", "int2", "binary"]),
        (None, ["int2", "float32"], ["int2"]),
        (None, [], []),
        ("qdrant", None, ["float16", "uint8", "float16 > signs"]),
        ("milvus", ["binary", "int4"], ["binary"]),
        ("duckdb", None, []),
        ("duckdb", ["float32"], []),
    ],
)
def test_named_kinds_that_there_are(
    tmp_path: Path, database: str | None, encodings: list[str] | None, expected: list[str]
) -> None:
    assert kinds(tmp_path, database, encodings) == expected


def test_an_adaptor_without_codes_has_floats(tmp_path: Path) -> None:
    assert kinds(tmp_path, coded=False) == ["float16"]
    assert kinds(tmp_path, "milvus", coded=False) == ["float16"]
    assert kinds(tmp_path, "redis", coded=False) == ["float32 > int8"]
    with pytest.raises(InputError, match="this adaptor has no codes for int8"):
        kinds(tmp_path, encodings=["int8"], coded=False)


def test_euclidean_distance_cannot_rank_inner_products(tmp_path: Path) -> None:
    assert "uint8" not in kinds(tmp_path, "qdrant", metric="dot")
    assert "uint8" in kinds(tmp_path, "qdrant", metric="l2")


def test_what_a_database_does_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Qdrant holds none of int4, int8: take float32, float16, uint8"):
        kinds(tmp_path, "qdrant", ["int4", "int8"])
