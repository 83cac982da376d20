"""The default recipes with one ingredient exchanged. To run it: `--methods truncation pca default` and these names, or
`default supervised` for those that learn from labels."""

from __future__ import annotations

from tests.benchmarks.contest.methods import Method, fitted

VARIANTS: dict[str, Method] = {
    "terms of the paper": fitted({"variant": {"loss": {"listwise": 0.0, "topk": 1.0, "pairwise": 1.0}}}),
    "identity start": fitted({"variant": {"model": {"initialisation": "identity"}}}),
    "no random candidates": fitted({"variant": {"training": {"candidates": 0}}}),
    "no noise": fitted({"variant": {"training": {"noise": 0.0}}}),
    "learned slower": fitted({"training": {"learning_rate": 1e-3}}),
    "500 steps": fitted({"training": {"steps": 500}}),
    "labels: ranking loss of the paper": fitted(
        {"variant": {"loss": {"contrastive": 0.0, "ranking": 1.0}}}, labels=True
    ),
    "labels: no unsupervised stage": fitted({"training": {"steps": 0}}, labels=True),
    "labels: contrastive weight 1": fitted({"variant": {"loss": {"contrastive": 1.0}}}, labels=True),
}
