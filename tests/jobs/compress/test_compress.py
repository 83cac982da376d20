"""The whole store through the adaptor, on a real local Ray: each row once, payload as it was, re-runs do the rest."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.jobs.compress.workplace import WIDTH, Workplace

pytestmark = pytest.mark.usefixtures("ray_cluster")


def short(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """The vectors of an output column."""
    return np.array(column.to_pylist(), np.float32)


def test_every_row_comes_out_once_with_its_payload(workplace: Workplace) -> None:
    assert workplace.compress() == 0
    for key in ("a.parquet", "sub/b.parquet", "sub/c.parquet"):
        source, output = pq.read_table(workplace.store / key), workplace.output(key)
        assert output.column_names == source.column_names
        assert output.drop(["vector"]).equals(source.drop(["vector"]))
        assert output.schema.field("vector").type == pa.list_(pa.float32(), WIDTH)
        expected = workplace.adaptor.transform(np.array(source["vector"].to_pylist(), np.float32), WIDTH)
        np.testing.assert_allclose(short(output["vector"]), expected, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(short(output["vector"]), axis=1), 1, atol=1e-6)
    assert [(r.rows_in, r.rows_out, r.duplicate_ids) for r in workplace.records()] == [
        (25, 25, 0),
        (31, 31, 0),
        (3, 3, 0),
    ]
    summary = json.loads(workplace.generation().read("summary.json"))
    assert (summary["status"], summary["rows_out"], summary["adaptor_id"]) == (
        "complete",
        59,
        workplace.adaptor.adaptor_id,
    )
