"""What the artefact says of itself: widths, settings, statistics of the sample, and how training went."""

from __future__ import annotations

import math
from typing import Any

from adaptor.batches import LABELS
from adaptor.errors import InputError
from adaptor.model import Linear, Orthogonal
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.selection import Settled
from adaptor.settings import WIDTH_LADDER
from adaptor.training import State
from jobs.config.commands import FitConfig
from jobs.fit.sample import Sample
from jobs.runtime.summary import versions

#: Settings that cannot change the adaptor, only how fast or how safely it is made.
WITHOUT_EFFECT = {"mining": {"shards"}, "training": {"checkpoint_seconds"}}


def fitted_widths(config: FitConfig, dim: int) -> tuple[int, ...]:
    """The widths to train for vectors of dimension `dim`. Raises InputError when the config asks for more."""
    if config.adaptor.widths is None:
        return (*(w for w in WIDTH_LADDER if w < dim), dim)
    if config.adaptor.widths[-1] > dim:
        raise InputError(
            f"adaptor.widths: {config.adaptor.widths[-1]} is more than the store's dimension {dim} "
            f"({config.store.uri}); give widths up to {dim}"
        )
    return config.adaptor.widths


def describe(
    config: FitConfig, sample: Sample, widths: tuple[int, ...], trained: tuple[Settled, State], fingerprint: str
) -> dict[str, Any]:
    """The artefact's document without evidence and hashes."""
    found, (settled, state) = sample.moments, trained
    form = settled.form
    sections = {"adaptor", "loss", "training", "mining"}
    mean = found.total / found.rows
    return {
        "dim": len(mean),
        "widths": list(widths),
        "metric": config.store.metric,
        "form": "linear" if isinstance(form, Linear) else config.adaptor.form,  # labels free the orthogonal form
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
        "leading": form.leading if isinstance(form, Orthogonal) else None,
        "narrow": None if settled.narrow is None else settled.narrow.shape[1],
        "held_back": [*what_labels_did(state), *settled.held_back],
        "data": {"fingerprint": fingerprint, "store_rows": sample.store_rows, "sampled_rows": found.rows},
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
            f"labels: nothing of them helps held-out queries (nDCG@10 {was} over all widths without them): "
            "the adaptor is the one of the stage before; more labelled queries, or a fit without labels, may help",
        )
    return (
        f"labels: nDCG@10 of held-out queries over all widths {was} → {now}; "
        f"{state.share:.0%} of what they taught is kept",
    )


def _number(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None
