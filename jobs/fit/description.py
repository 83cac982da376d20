"""What the artefact says of itself: dims, settings, statistics of the sample, and how training went."""

from __future__ import annotations

import math
from typing import Any

from adaptor.model import Linear, Orthogonal
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.selection import Selection
from adaptor.training_job import Stage
from adaptor.training_state import TrainingState
from jobs.config.fit import FitConfig
from jobs.fit.data import Prepared
from jobs.fit.fingerprints import settings
from jobs.fit.sample import Sample
from jobs.runtime.summary import versions


def describe(
    config: FitConfig, sample: Sample, prepared: Prepared, selection: Selection, state: TrainingState
) -> dict[str, Any]:
    """The artefact's document without evidence, fingerprints and hashes."""
    moments, module, queries = sample.moments, selection.module, prepared.job.data.query_neighbours
    mean = moments.total / moments.rows
    data: dict[str, Any] = {"source_rows": sample.source_rows, "sampled_rows": moments.rows}
    if selection.head is not None and queries is not None:
        data["queries"] = len(queries)
    if prepared.recall is not None:
        data["mining_recall"] = round(prepared.recall, 6)
    return {
        "input_dim": len(mean),
        "dims": list(prepared.job.dims),
        "metric": config.source.metric,
        # Labels free the orthogonal architecture.
        "architecture": "linear" if isinstance(module, Linear) else config.adaptor.architecture,
        "unit_input": bool(abs(moments.shortest - 1) < 1e-3 and abs(moments.longest - 1) < 1e-3),
        "recipe": {"name": config.adaptor.recipe, "version": RECIPE_VERSIONS[config.adaptor.recipe]},
        "settings": settings(config),
        "supervised": config.qrels is not None,
        "held_out_score": {
            "stage": str(state.stage),
            "initial": _number(state.initial_score),
            "best": _number(state.best_score),
            "alpha": state.alpha,
        },
        "trained_components": module.trained_components if isinstance(module, Orthogonal) else None,
        "head": None if selection.head is None else selection.head.shape[1],
        "fallback_notes": [*what_labels_did(state), *selection.fallback_notes],
        "data": data,
        "statistics": {
            "mean_length": round(float((mean @ mean) ** 0.5), 6),
            "shortest": round(moments.shortest, 6),
            "longest": round(moments.longest, 6),
        },
        "versions": versions(),
    }


def what_labels_did(state: TrainingState) -> tuple[str, ...]:
    """How much of what labels taught is kept, in words; nothing without labels."""
    if state.stage is not Stage.SUPERVISED:
        return ()
    before, after = f"{state.initial_score:.3f}", f"{state.best_score:.3f}"
    if state.best_step == 0:
        return (
            f"labels: nothing of them helps held-out queries (nDCG@10 {before} over all dims without them): "
            "the adaptor is the one of the stage before; more labelled queries, or a fit without labels, may help",
        )
    return (
        f"labels: nDCG@10 of held-out queries over all dims {before} → {after}; "
        f"{state.alpha:.0%} of what they taught is kept",
    )


def _number(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None
