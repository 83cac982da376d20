"""Fits that are killed at random steps and run again: do they end where an undisturbed fit ends?"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.storage.s3_clients import request_client

if TYPE_CHECKING:
    from tests.benchmarks.chaos import Site

ROWS, DIM, SHARDS = 4000, 32, 8
#: Largest accepted difference of a number of the evidence; the adaptor id is expected to be the same to the bit.
TOLERANCE = 1e-3


def disturbed_fit(site: Site, bucket: str, minutes: float) -> dict[str, Any]:
    """One undisturbed fit, then disturbed ones until the time is up; what they agree in."""
    client = request_client(site.server.server.options)
    for number in range(SHARDS):
        client.pipe_file(f"{bucket}/fit-source/{number}.parquet", _shard(number))

    def fit(name: str, until: float | None) -> int:
        sections: dict[str, dict[str, Any]] = {
            "source": {"uri": f"s3://{bucket}/fit-source"},
            "output": {"uri": f"s3://{bucket}/{name}"},
            "adaptor": {"dims": [4, 8, 16, 32]},
            "training": {
                "steps": 400,
                "batch": 64,
                "candidates": 128,
                "evaluate_every": 40,
                "patience": 5000,
                "checkpoint_seconds": 0.0,
            },
            "cluster": {"workers": 1, "stalled_seconds": 180},
        }
        return site.run("fit", site.config(name, sections), until)

    if fit("fit-calm", None) != 0:
        raise SystemExit(f"the undisturbed fit failed: see {site.folder}/log.txt")
    calm = _document(client, f"{bucket}/fit-calm")
    fits = reruns = same = 0
    largest = 0.0
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        name = f"fit-{fits}"
        while time.monotonic() < end and fit(name, end) != 0:
            reruns += 1
        status = fit(name, None)
        if status != 0:
            return {"fits": fits, "reruns": reruns, "sound": False, "last": status}
        document = _document(client, f"{bucket}/{name}")
        fits += 1
        same += document["adaptor_id"] == calm["adaptor_id"]
        largest = max(largest, *(_differences(document["evidence"], calm["evidence"])))
    sound = largest <= TOLERANCE
    return {"fits": fits, "reruns": reruns, "same adaptor id": same, "largest difference": largest, "sound": sound}


def _shard(number: int) -> bytes:
    draws = np.random.default_rng(number)
    spread = np.r_[np.full(16, 0.5), np.full(DIM - 16, 0.05)]
    centres = np.random.default_rng(99).normal(size=(60, DIM)) * spread
    rows = ROWS // SHARDS
    vectors = (centres[draws.integers(0, 60, rows)] + 0.1 * draws.normal(size=(rows, DIM)) * spread).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM)
    content = pa.table({"id": [f"{number}-{row}" for row in range(rows)], "vector": column})
    sink = io.BytesIO()
    pq.write_table(content, sink, write_page_checksum=True)
    return sink.getvalue()


def _document(client: Any, folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.cat_file(str(Path(folder) / "adaptor.json")))
    return found


def _differences(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> list[float]:
    """Between numbers that stand in the same place."""
    return [
        abs(one[name] - other[name])
        for one, other in zip(left, right, strict=True)
        for name in one
        if isinstance(one[name], float)
    ] or [0.0]
