"""The programs that compress is measured against, each as somebody would write it who has an afternoon.

    python -m tests.benchmarks.peers VARIANT JOB.json [--prepare]

All read the same files and write the column of short vectors with the id and the text beside it. What they know
about the vectors (a matrix, a fitted PCA) is made beforehand (`--prepare`), from the first rows, as the adaptor is.
"""

from __future__ import annotations

import json
import sys
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
    variant, job = sys.argv[1], Job(**json.loads(Path(sys.argv[2]).read_text()))
    (PREPARATIONS if "--prepare" in sys.argv else VARIANTS)[variant](job)


if __name__ == "__main__":
    main()
