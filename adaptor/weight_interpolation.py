"""How much of what labels taught is kept: an interpolation of the supervised matrix with the one it started from.

A map that is free to move learns the labelled documents by heart; what it then gains on them it may lose on all others.
The maps are matrices, so what lies between them is a map too, and held-out queries, whose documents training did not
see, say how far to go. An alpha of 0 is the map that the supervised stage started from.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from adaptor.model import Linear
from adaptor.quality import Scores
from adaptor.settings import Metric
from adaptor.training_set import TrainingSet
from adaptor.validation import validate

#: Shares of the supervised matrix that are tried.
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def interpolate_weights(
    module: Linear, initial: Tensor, data: TrainingSet, dims: tuple[int, ...], metric: Metric
) -> tuple[float, float]:
    """Mix `module` with the matrix that training began from, in place; returns alpha and its held-out nDCG@10."""
    last, scores = module.matrix.detach().clone(), []
    initial = initial.to(last)

    def mixed(alpha: float) -> Tensor:
        """The matrix (d, d); exact at both ends."""
        if alpha in (0.0, 1.0):  # exact, also where training has diverged: 0 · NaN is NaN
            return last if alpha else initial
        return (1 - alpha) * initial + alpha * last

    for alpha in ALPHAS:
        module.matrix.data = mixed(alpha)
        scores.append(validate(module, data, dims, metric, supervised=True))
    chosen = largest_alpha(np.stack(scores))
    module.matrix.data = mixed(ALPHAS[chosen])
    return ALPHAS[chosen], float(scores[chosen].mean())


def largest_alpha(scores: Scores) -> int:
    """Number of the largest alpha that held-out queries do not speak against: scores (a, q), the first without labels.

    That is one whose mean is at most one standard error of the paired difference below the best mean (Breiman's rule):
    of maps that held-out queries cannot tell apart, the one that knows more of the labels.
    """
    means = scores.mean(axis=1)
    best = int(means.argmax())
    error = (scores[best] - scores).std(axis=1) / np.sqrt(scores.shape[1])
    return int(np.flatnonzero(means >= means[best] - error).max())
