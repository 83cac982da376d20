"""How much of what a stage taught is kept: an interpolation of the trained matrix with the one it started from.

A map that is free to move learns by heart what it is shown, the more so the fewer rows, queries or labels there are;
what it gains there it may lose on all others. The maps are matrices, so what lies between them is a map too, and what
was held out says how far to go: rows, queries of the log, or labelled queries. An alpha of 0 is the map that the stage
started from.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from adaptor.model import Linear
from adaptor.quality import Scores
from adaptor.selection import floors, kept, standard_error
from adaptor.training_job import Stage, TrainingJob
from adaptor.validation import supervised_scores, validate_dims

#: Shares of the trained matrix that are tried.
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: What a query log may cost at any dim, in graded overlap@10 of held-out queries, and of held-out rows.
_QUERY_LOSS, _ROW_LOSS = 0.002, 0.005

#: Standard errors that held-out rows are doubted by, when they say how much of a map is too much.
_ROW_DOUBT = 2.0


def interpolate(initial: Tensor, last: Tensor, job: TrainingJob, stage: Stage) -> tuple[float, Linear, float]:
    """The share alpha of the `last` matrix that what is held out prefers, that mix, and its held-out score."""
    initial = initial.to(last)
    mixes = [_mixed(initial, last, alpha) for alpha in ALPHAS]
    if stage is Stage.SUPERVISED and (labels := job.data.supervision) is not None:
        judged = np.stack([supervised_scores(mix, job.data.corpus, labels, job.dims, job.metric) for mix in mixes])
        number, scores = largest_alpha(judged), judged.mean(axis=(1, 2))
    elif stage is Stage.QUERY_LOG:
        judged, rows = (
            np.stack([validate_dims(mix, data, job.dims, job.metric)[0] for mix in mixes])
            for data in (job.data.of_queries(), job.data)
        )
        number, scores = safest_alpha(judged, rows), judged.mean(axis=(1, 2))
    else:
        floor = floors(job.data, job.dims, job.metric)
        judged = np.stack([validate_dims(mix, job.data, job.dims, job.metric) for mix in mixes])
        gains = np.stack([kept(job.dims, scores, floor).gain for scores in judged])
        number, scores = boldest_alpha(gains), judged[:, 0].mean(axis=(1, 2))
    return ALPHAS[number], mixes[number], float(scores[number])


def _mixed(initial: Tensor, last: Tensor, alpha: float) -> Linear:
    """Exact at both ends, also where training has diverged: 0 · NaN is NaN."""
    if alpha in (0.0, 1.0):
        return Linear(len(last), last if alpha else initial)
    return Linear(len(last), (1 - alpha) * initial + alpha * last)


def boldest_alpha(gains: Scores) -> int:
    """Number of the largest alpha whose gain on held-out rows (a, h), the first without the map, is at most two
    standard errors below the best one.

    Rows lie nearer to documents than queries do, and speak for less of the map than queries would: on five sets
    the nDCG@10 of train queries was best with all of it, at each dim or but for noise.
    """
    best = int(gains.mean(axis=1).argmax())
    doubt = np.array([standard_error(gains[best] - gain) if number != best else 0 for number, gain in enumerate(gains)])
    near = gains.mean(axis=1) >= gains[best].mean() - _ROW_DOUBT * doubt
    return int(np.flatnonzero(near).max()) if best else 0


def largest_alpha(scores: Scores) -> int:
    """Number of the largest alpha that labelled queries do not speak against: scores (a, w, q), the first without
    labels.

    That is one whose mean is at most one standard error of the paired difference below the best mean (Breiman's rule):
    of maps that held-out queries cannot tell apart, the one that knows more of the labels. One that loses at some dim,
    beyond noise, is not among them.
    """
    means = scores.mean(axis=(1, 2))
    error = np.array([standard_error(s) for s in (scores[int(means.argmax())] - scores).mean(axis=1)])
    by_dim = scores - scores[0]
    loses = [any(gain.mean() < -standard_error(gain) for gain in gains) for gains in by_dim]
    return int(np.flatnonzero((means >= means.max() - error) & ~np.array(loses)).max(initial=0))


def safest_alpha(queries: Scores, rows: Scores) -> int:
    """Number of the alpha of a query log that ranks best for held-out queries (a, w, h), the first without the log, of
    those that lose at no dim, also for held-out rows (a, w, r). The first, where the gain is no more than chance.

    Rows have a word because a map may find more of what the full dimension finds for queries, and less of what is
    relevant: on multilingual e5 it did, and there rows lost.
    """
    gains = queries - queries[0]
    loses = (gains.mean(axis=2) < -_QUERY_LOSS) | ((rows - rows[0]).mean(axis=2) < -_ROW_LOSS)
    means = np.where(loses.any(axis=1), -np.inf, gains.mean(axis=(1, 2)))
    best = int(means.argmax())
    return best if means[best] > standard_error(gains[best].mean(axis=0)) else 0
