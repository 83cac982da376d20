"""What methods and measures are called in front of users."""

from __future__ import annotations

from adaptor.baselines import ADAPTOR, ORIGINAL

_METRICS = {
    "ndcg@10": ("nDCG@10", "ranking quality of the first ten results"),
    "recall@10": ("Recall@10", "share of the relevant documents among the first ten"),
    "recall@100": ("Recall@100", "share of the relevant documents among the first hundred"),
    "mrr@10": ("MRR@10", "one over the rank of the first relevant document"),
    "overlap@1": ("Overlap@1", "how often the true nearest neighbour comes first"),
    "overlap@10": ("Overlap@10", "share of the true ten nearest neighbours found"),
    "overlap@100": ("Overlap@100", "share of the true hundred nearest neighbours found"),
    "pairwise_distance": ("Pairwise distance", "mean change of similarity between two queries; lower is better"),
    "topk_distance": ("Top-10 distance", "mean change of similarity to the ten nearest neighbours; lower is better"),
}
METRIC_NAMES = {metric: name for metric, (name, _) in _METRICS.items()}
METRIC_MEANINGS = {metric: meaning for metric, (_, meaning) in _METRICS.items()}
_METHOD_NAMES = {ORIGINAL: "Full dimension", "truncation": "Truncation", "pca": "PCA", ADAPTOR: "Adaptor"}


def method_name(method: str) -> str:
    """The name of a method at the head of a row or a legend."""
    return _METHOD_NAMES.get(method, method)


def in_text(method: str) -> str:
    """The name of a method inside a sentence."""
    return {"pca": "PCA"}.get(method, method)
