"""What a user has without training, as adaptors, so that all contestants go through the same transform."""

from __future__ import annotations

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.pca import moments, rotation
from tests.benchmarks.contest.maps import as_adaptor, linear
from tests.benchmarks.contest.product import METRIC
from tests.benchmarks.contest.sets import SearchSet

#: How far variances are evened out (1 is whitening), and the share of their mean below which they count as that.
_WHITENING, _FLOOR = 0.1, 0.05


def truncation(there: SearchSet, seed: int) -> Adaptor:
    """The first columns as they are."""
    return linear(np.eye(there.vectors.shape[1], dtype=np.float32), "truncation")


def random_rotation(there: SearchSet, seed: int) -> Adaptor:
    """A uniformly drawn orthogonal map: what keeping any m directions gives."""
    draws = np.random.default_rng([seed, 10]).normal(size=(there.vectors.shape[1],) * 2)
    q, r = np.linalg.qr(draws)
    return linear((q * np.sign(np.diag(r))).astype(np.float32), "random rotation")


def random_coordinates(there: SearchSet, seed: int) -> Adaptor:
    """The columns in random order: what keeping any m of them gives."""
    order = np.random.default_rng([seed, 11]).permutation(there.vectors.shape[1])
    return linear(np.eye(len(order), dtype=np.float32)[:, order], "random coordinates")


def variance_order(there: SearchSet, seed: int) -> Adaptor:
    """The columns by falling variance."""
    order = np.argsort(-there.vectors.var(axis=0, dtype=np.float64), kind="stable")
    return linear(np.eye(len(order), dtype=np.float32)[:, order], "variance order")


def pca(there: SearchSet, seed: int) -> Adaptor:
    """The uncentred PCA rotation, the product's own."""
    return linear(rotation(moments(there.vectors, METRIC)), "pca")


def softly_whitened(there: SearchSet, seed: int) -> Adaptor:
    """PCA whose axes are scaled a little towards equal variance, on both sides: scores weigh axis i by λ_i^-0.1."""
    found = moments(there.vectors, METRIC)
    axes = rotation(found).astype(np.float64)
    variances = np.sum((found.outer / found.rows @ axes) * axes, axis=0)
    return linear(axes * (variances + _FLOOR * variances.mean()) ** (-_WHITENING / 2), "softly whitened")


def pca_centred(there: SearchSet, seed: int) -> Adaptor:
    """Textbook PCA: the corpus mean is taken off documents and queries, then they are rotated."""
    found = moments(there.vectors, METRIC)
    mean = (found.total / found.rows).astype(np.float64)
    _, vectors = np.linalg.eigh(found.outer / found.rows - np.outer(mean, mean))
    turned, dim = vectors[:, ::-1], len(mean)
    # The module with a bias: a hidden layer that is always 0.
    tensors = {
        "linear": turned.astype(np.float32),
        "hidden_weight": np.zeros((dim, 1), np.float32),
        "hidden_bias": np.zeros(1, np.float32),
        "output_weight": np.zeros((1, dim), np.float32),
        "output_bias": (-mean @ turned).astype(np.float32),
    }
    return as_adaptor("mlp", tensors, "pca centred")
