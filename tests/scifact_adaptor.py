"""An adaptor of the bundled vectors, made by numpy within a second: nothing is trained, everything is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor, with_canary, with_codes
from adaptor.code_fitting import fit_codes
from adaptor.rows import Floats
from adaptor.settings import Metric
from tests.jobs.evaluate.inputs import make_adaptor

SCIFACT = Path(__file__).resolve().parent / "data" / "scifact"
#: Dims of the adaptor; all have codes, 64 and 128 through a rotation that is learned.
DIMS = (64, 128)


def vectors_of(path: Path) -> Floats:
    """The vectors of a Parquet file, or of all of a folder in the order of their names: float32 (n, 384)."""
    column = pq.read_table(path, columns=["vector"])["vector"].combine_chunks()
    return np.asarray(column.flatten().to_numpy().reshape(len(column), -1), np.float32)


@cache
def scifact_adaptor(metric: Metric = "cosine", architecture: str = "linear") -> Adaptor:
    """A perturbed PCA of the corpus (or that and a random perceptron), with codes and a canary."""
    corpus = vectors_of(SCIFACT / "corpus")
    bare = make_adaptor(corpus, DIMS, metric, architecture)
    return with_canary(with_codes(bare, fit_codes(bare, corpus, corpus[::40], 3, DIMS)))
