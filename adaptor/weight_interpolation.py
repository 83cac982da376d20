"""How much of what labels taught is kept: a mix of the supervised map with the unsupervised one that it started from.

A map that is free to move learns the labelled documents by heart; what it then gains on them it may lose on all others.
The maps are matrices, so a mix of both is a map too, and held-out queries, whose documents training did not see, say
how much of it is good. A share of 0 is the rotation that it started from.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from adaptor.model import Linear
from adaptor.quality import Scores
from adaptor.rows import Floats
from adaptor.settings import Metric
from adaptor.training_set import Supervision
from adaptor.validation import validate_queries

#: Shares of the supervised map that are tried.
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def interpolate_weights(
    module: Linear, first: Tensor, data: tuple[Floats, Supervision], dims: tuple[int, ...], metric: Metric
) -> tuple[float, float]:
    """Mix `form` with the matrix that training began from, in place; returns the share kept and its held-out nDCG@10.

    `data` is the corpus (n, d) and the labels.
    """
    last, tried = module.matrix.detach().clone(), []
    first = first.to(last)

    def mixed(share: float) -> Tensor:
        """The matrix (d, d); exact at both ends."""
        if share in (0.0, 1.0):  # exact, also where training has diverged: 0 · NaN is NaN
            return last if share else first
        return (1 - share) * first + share * last

    for share in ALPHAS:
        module.matrix.data = mixed(share)
        tried.append(validate_queries(module, *data, dims, metric))
    chosen = largest_alpha(np.stack(tried))
    module.matrix.data = mixed(ALPHAS[chosen])
    return ALPHAS[chosen], float(tried[chosen].mean())


def largest_alpha(scores: Scores) -> int:
    """Place of the largest share that held-out queries do not speak against: scores (s, q), the first without labels.

    That is one whose mean is at most one standard error of the paired difference below the best mean (Breiman's rule):
    of maps that held-out queries cannot tell apart, the one that knows more of the labels.
    """
    means = scores.mean(axis=1)
    best = int(means.argmax())
    error = (scores[best] - scores).std(axis=1) / np.sqrt(scores.shape[1])
    return int(np.flatnonzero(means >= means[best] - error).max())
