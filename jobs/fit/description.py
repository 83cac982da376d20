"""What the artefact says of itself: dims, settings, statistics of the sample, and how training went."""

from __future__ import annotations

import math
from typing import Any

from adaptor.batches import LABELS
from adaptor.errors import InputError
from adaptor.model import Linear, Orthogonal
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.selection import Selection
from adaptor.settings import DIM_LADDER
from adaptor.training import State
from jobs.config.fit import FitConfig
from jobs.fit.sample import Sample
from jobs.runtime.summary import versions

#: Settings that cannot change the adaptor, only how fast or how safely it is made.
WITHOUT_EFFECT = {"mining": {"search_partitions"}, "training": {"checkpoint_seconds"}}


def fitted_dims(config: FitConfig, input_dim: int) -> tuple[int, ...]:
    """The dims to train for vectors of dimension `input_dim`. Raises InputError when the config asks for more."""
    if config.adaptor.dims is None:
        return (*(w for w in DIM_LADDER if w < input_dim), input_dim)
    if config.adaptor.dims[-1] > input_dim:
        raise InputError(
            f"adaptor.dims: {config.adaptor.dims[-1]} is more than the source's dimension {input_dim} "
            f"({config.source.uri}); give dims up to {input_dim}"
        )
    return config.adaptor.dims


def describe(
    config: FitConfig, sample: Sample, dims: tuple[int, ...], trained: tuple[Selection, State], fingerprint: str
) -> dict[str, Any]:
    """The artefact's document without evidence and hashes."""
    found, (selection, state) = sample.moments, trained
    module = selection.module
    sections = {"adaptor", "loss", "training", "mining"}
    mean = found.total / found.rows
    return {
        "input_dim": len(mean),
        "dims": list(dims),
        "metric": config.source.metric,
        "architecture": "linear"
        if isinstance(module, Linear)
        else config.adaptor.architecture,  # labels free the orthogonal architecture
        "unit_input": bool(abs(found.shortest - 1) < 1e-3 and abs(found.longest - 1) < 1e-3),
        "recipe": {"name": config.adaptor.recipe, "version": RECIPE_VERSIONS[config.adaptor.recipe]},
        "settings": config.model_dump(mode="json", include=sections, exclude=WITHOUT_EFFECT),
        "supervised": config.qrels is not None,
        "held_out_score": {
            "stage": state.stage,
            "start": _number(state.first_score),
            "best": _number(state.best_score),
            "share": state.share,
        },
        "trained_components": module.trained_components if isinstance(module, Orthogonal) else None,
        "head": None if selection.head is None else selection.head.shape[1],
        "fallback_notes": [*what_labels_did(state), *selection.fallback_notes],
        "data": {"fingerprint": fingerprint, "source_rows": sample.source_rows, "sampled_rows": found.rows},
        "statistics": {
            "mean_length": round(float((mean @ mean) ** 0.5), 6),
            "shortest": round(found.shortest, 6),
            "longest": round(found.longest, 6),
        },
        "versions": versions(),
    }


def what_labels_did(state: State) -> tuple[str, ...]:
    """How much of what labels taught is kept, in words; nothing without labels."""
    if state.stage != LABELS:
        return ()
    was, now = f"{state.first_score:.3f}", f"{state.best_score:.3f}"
    if state.best_step == 0:
        return (
            f"labels: nothing of them helps held-out queries (nDCG@10 {was} over all dims without them): "
            "the adaptor is the one of the stage before; more labelled queries, or a fit without labels, may help",
        )
    return (
        f"labels: nDCG@10 of held-out queries over all dims {was} → {now}; "
        f"{state.share:.0%} of what they taught is kept",
    )


def _number(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None
