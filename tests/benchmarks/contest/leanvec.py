"""LeanVec's closed form for queries unlike the documents ("sphering"; Tepper et al., arXiv 2312.16335).

With the queries' second moment K_Q, the documents' K_X, W = K_Q^½ and P the leading eigenvectors of W·K_X·W, a document
is stored as PᵀWx and a query asks with PᵀW⁻¹q: the dot product of the two approximates q·x with the least squared error
over these queries and documents. Nothing is normalised afterwards.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adaptor.pca import moments, rotation
from tests.benchmarks.contest.maps import Maps, Sides, linear
from tests.benchmarks.contest.product import METRIC
from tests.benchmarks.contest.sets import SearchSet

#: Share of the mean eigenvalue that is added to all of K_Q's: a log may hold fewer queries than there are dimensions.
_RIDGE = 0.01


def fit(there: SearchSet, seed: int) -> Maps:
    """The two maps, from the corpus and the queries of split train without their judgments."""
    documents = moments(there.vectors, METRIC)
    queries = moments(there.labelled.queries.vectors, METRIC)
    values, axes = np.linalg.eigh(queries.outer / queries.rows)
    values = np.maximum(values, 0) + _RIDGE * values.mean()
    root, inverse = (axes * values**power @ axes.T for power in (0.5, -0.5))
    # `rotation` takes the eigenvectors of a second moment: here of the documents after W.
    leading = rotation(replace(documents, outer=root @ documents.outer @ root)).astype(np.float64)
    sides = (linear(matrix @ leading, "leanvec", "dot") for matrix in (root, inverse))
    return {there.vectors.shape[1]: Sides(*sides)}
