"""How often drift is seen where there is none, and where there is.

    python -m tests.benchmarks.drift --data DIR [--seeds 20]

DIR holds sets as folders with corpus/*.parquet. For each set and seed, an artefact's reference is made of seven shards
of eight (PCA axes of a sample of them stand for an adaptor). Looked at are: 256 evenly spaced rows of the eighth shard;
the same rows rotated; and rows of every other set of as many dimensions. Prints a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from adaptor.artefact import Adaptor, build, with_codes
from adaptor.drift import SAMPLE_ROWS, drift_reference, drift_sample, of_another_space, of_another_topic
from adaptor.rows import Floats, unit_rows
from tests.benchmarks.contest.sets import load, present

SHARDS, FITTED_ROWS = 8, 6_000
DIMS = (16, 32, 64, 128)


def reference(rows: Floats, seed: int) -> Adaptor:
    """An adaptor of the PCA axes of a sample of the rows, with what a held-out tenth says."""
    shuffled = rows[np.random.default_rng(seed).permutation(len(rows))]
    held_out, sample = np.split(shuffled, [min(2_000, len(rows) // 10)])
    rotation = np.linalg.svd(sample[:FITTED_ROWS], full_matrices=False)[2].T.copy()
    described = {
        "input_dim": rows.shape[1],
        "dims": [dim for dim in DIMS if dim < rows.shape[1]],
        "metric": "cosine",
        "architecture": "linear",
        "unit_input": True,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    bare = build(described, {"linear": rotation}, rotation)
    return with_codes(bare, {}, drift=drift_reference(bare, held_out))


def kind(adaptor: Adaptor, rows: Floats) -> str:
    """What is said of rows."""
    sample = drift_sample(adaptor, rows)
    if sample is None:
        return "none"
    return "space" if of_another_space([sample]) else "topic" if of_another_topic(adaptor, [sample]) else "none"


def main() -> int:
    """Count what is said; 1 where an alarm is false or a rotated shard is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    sets = {name: unit_rows(load(name, folder).vectors) for name, folder in present(given.data, []).items()}
    found: Counter[tuple[str, str, str]] = Counter()
    for name, rows in sets.items():
        shards = np.array_split(rows, SHARDS)
        for seed in range(given.seeds):
            draw, left_out = np.random.default_rng(seed), seed % SHARDS
            adaptor = reference(np.concatenate([s for number, s in enumerate(shards) if number != left_out]), seed)
            shard = shards[left_out]
            own = shard[np.linspace(0, len(shard) - 1, min(SAMPLE_ROWS, len(shard))).astype(int)]
            rotation = np.linalg.qr(draw.normal(size=(rows.shape[1],) * 2))[0].astype(np.float32)
            found[name, "own shard", kind(adaptor, own)] += 1
            found[name, "rotated", kind(adaptor, own @ rotation)] += 1
            for other, foreign in sets.items():
                if other != name and foreign.shape[1] == rows.shape[1]:
                    found[name, other, kind(adaptor, foreign[draw.choice(len(foreign), SAMPLE_ROWS, False)])] += 1
    print(f"{'fitted on':<20} {'looked at':<20} none  topic  space")
    for name, looked_at in dict.fromkeys(key[:2] for key in found):
        counts = [found[name, looked_at, said] for said in ("none", "topic", "space")]
        print(f"{name:<20} {looked_at:<20} {counts[0]:>4}  {counts[1]:>5}  {counts[2]:>5}")
    print(json.dumps([{"set": key[0], "rows": key[1], "said": key[2], "count": count} for key, count in found.items()]))
    false = sum(count for key, count in found.items() if key[1] == "own shard" and key[2] != "none")
    missed = sum(count for key, count in found.items() if key[1] == "rotated" and key[2] != "space")
    return int(false + missed > 0)


if __name__ == "__main__":
    sys.exit(main())
