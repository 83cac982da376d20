"""What the artefact says of itself: dims, settings, statistics of the sample, and how training went."""

from __future__ import annotations

import math
from typing import Any

from adaptor.model import Residual
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.selection import Selection
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
    moments, log = sample.moments, prepared.job.data.log
    mean = moments.total / moments.rows
    data: dict[str, Any] = {"source_rows": sample.source_rows, "sampled_rows": moments.rows}
    if log is not None:
        data["queries"] = len(log.neighbours)
    if prepared.recall is not None:
        data["mining_recall"] = round(prepared.recall, 6)
    return {
        "input_dim": len(mean),
        "dims": list(prepared.job.dims),
        "metric": config.source.metric,
        "architecture": _architecture(selection),
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
        "head": None if selection.head is None else selection.head.shape[1],
        "notes": list(selection.notes),
        "data": data,
        "statistics": {
            "mean_length": round(float((mean @ mean) ** 0.5), 6),
            "shortest": round(moments.shortest, 6),
            "longest": round(moments.longest, 6),
        },
        "versions": versions(),
    }


def _architecture(selection: Selection) -> str:
    """As artefacts name it: labels free the full dimension, too."""
    if isinstance(selection.module, Residual):
        return "mlp"
    return "orthogonal" if selection.exact else "linear"


def _number(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None
