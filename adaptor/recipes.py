"""Named recipes: sets of settings that are versioned as one, because they were measured as one.

`default` is what the schemas carry as their defaults. `paper` is arXiv 2407.20243 as published (objective top-k +
α·pairwise + β·reconstruction + γ·ranking with α = β = γ = 1, Adam 1e-3, batch 128, at most 5,000 iterations, patience
500, neighbours within 50,000 rows); depth, width and activation of its "shallow MLP" are not published: one hidden
layer of 512 ReLU units here.
"""

from __future__ import annotations

from typing import Any

#: Part of the adaptor's identity: raise it when a recipe's meaning changes.
RECIPE_VERSIONS = {"default": 8, "paper": 5}

_PAPER: dict[str, dict[str, Any]] = {
    "adaptor": {"architecture": "mlp", "initialisation": "identity", "hidden_units": 512},
    "loss": {
        "listwise": 0.0,
        "topk": 1.0,
        "pairwise": 1.0,
        "reconstruction": 1.0,
        "ranking": 1.0,
        "contrastive": 0.0,
    },
    "training": {
        "steps": 5000,
        "query_steps": 5000,
        "noise": 0.0,
        "batch": 128,
        "candidates": 0,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "patience": 500,
    },
    "mining": {"sample_rows": 50_000},
}


def fill(given: Any) -> Any:
    """Put the chosen recipe's settings under the given ones; anything that is not a mapping is left to the schema to
    refuse."""
    if not isinstance(given, dict):
        return given
    model = given.get("adaptor")
    if not (isinstance(model, dict) and model.get("recipe") == "paper"):
        return given
    filled = dict(given)
    for section, settings in _PAPER.items():
        own = given.get(section, {})
        filled[section] = {**settings, **own} if isinstance(own, dict) else own
    return filled
