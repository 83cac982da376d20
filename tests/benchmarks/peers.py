"""The programs that compress is measured against, each as somebody would write it who has an afternoon.

    python -m tests.benchmarks.peers VARIANT JOB.json [--prepare]

All read the same files and write the column of short vectors with the id and the text beside it. What they know
about the vectors (a matrix, a fitted PCA) is made beforehand (`--prepare`), from the first rows, as the adaptor is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import engines, loops
from tests.benchmarks.job import Job

VARIANTS: dict[str, Callable[[Job], None]] = {
    "floor": loops.floor,
    "bare-loop": loops.bare_loop,
    "ray-data": engines.ray_data,
    "scikit-learn": loops.scikit_learn,
    "faiss": loops.faiss_pca,
    "spark": engines.spark,
    "daft": engines.daft,
}
PREPARATIONS: dict[str, Callable[[Job], None]] = {
    "scikit-learn": loops.prepare_scikit_learn,
    "faiss": loops.prepare_faiss,
    "spark": engines.prepare_spark,
    "daft": engines.prepare_daft,
}


def main() -> None:
    """Run one program on one job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("job", type=Path, help="what job.Job holds, as JSON")
    parser.add_argument("--prepare", action="store_true", help="fit the model of the variant, and no more")
    given = parser.parse_args()
    (PREPARATIONS if given.prepare else VARIANTS)[given.variant](Job(**json.loads(given.job.read_text())))


if __name__ == "__main__":
    main()
