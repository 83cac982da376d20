"""The default recipe with one ingredient exchanged: run with `--methods default` and any of these names."""

from __future__ import annotations

from tests.benchmarks.contest.methods import Method, fitted

_PAPER_TERMS = {"listwise": 0.0, "topk": 1.0, "pairwise": 1.0}

VARIANTS: dict[str, Method] = {
    "without list-wise": fitted({"loss": _PAPER_TERMS}),
    "identity start": fitted({"adaptor": {"start": "identity"}}),
    "linear form": fitted({"adaptor": {"form": "linear"}}),
    "all columns rotated": fitted({"adaptor": {"leading": None}}),
    "without random candidates": fitted({"training": {"candidates": 0}}),
}
