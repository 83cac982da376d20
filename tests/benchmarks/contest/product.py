"""The product's own fit in this process: what `matryoshka fit` does between reading and writing, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from adaptor.approximate import approximate_neighbours
from adaptor.artefact import Adaptor, build
from adaptor.model import fold
from adaptor.neighbours import Neighbours, top_k
from adaptor.pca import moments
from adaptor.recipes import Recipe
from adaptor.rows import Floats
from adaptor.settings import Metric
from adaptor.stages import outcome, train_stages
from cluster.settings import ClusterSection
from jobs.config.fit import FitConfig
from jobs.fit.data import Prepared, prepare
from jobs.fit.description import describe
from jobs.fit.neighbour_search import NeighbourSearch
from jobs.fit.sample import Sample
from tests.benchmarks.contest.sets import SearchSet

METRIC: Metric = "cosine"
Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """What a fit starts from: the configuration, the whole corpus as the sample, and the training set."""

    config: FitConfig
    sample: Sample
    prepared: Prepared


class VariantConfig(FitConfig):
    """A fit whose recipe has other constants than the product's: `variant` holds them, by part of the recipe."""

    variant: Sections = Field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The product's, with these constants in it."""
        recipe = super().recipe
        return recipe.model_copy(
            update={part: getattr(recipe, part).model_copy(update=values) for part, values in self.variant.items()}
        )


def configure(sections: Sections, seed: int, labels: bool, queries: bool = False) -> VariantConfig:
    """The configuration of a fit with these settings; paths are names only, nothing is read or written there."""
    training = {**sections.get("training", {}), "seed": seed}
    named = {"queries": {"uri": "train"}} if labels or queries else {}
    named |= {"qrels": {"uri": "train"}} if labels else {}
    places = {"source": {"uri": "corpus", "metric": METRIC}, "output": {"uri": "nowhere"}}
    return VariantConfig.model_validate({**places, **named, **sections, "training": training})


class SearchHere(NeighbourSearch):
    """The search that preparing asks for, on arrays of this process."""

    def __init__(self, metric: Metric = METRIC) -> None:
        super().__init__(ClusterSection(), metric)

    def search(self, queries: Floats, corpus: Floats, k: int, *, metric: Metric | None = None) -> Neighbours:
        """As on a cluster."""
        return top_k(queries, corpus, np.arange(len(corpus), dtype=np.int64), k, metric or self.metric)

    def search_within(self, rows: Floats, k: int, nprobe: int | None = None) -> Neighbours:
        """As on a cluster."""
        if nprobe is not None:
            return approximate_neighbours(rows, k, self.metric, nprobe)
        numbers = np.arange(len(rows), dtype=np.int64)
        return top_k(rows, rows, numbers, k, self.metric, numbers)


def prepare_here(there: SearchSet, sections: Sections, seed: int, labels: bool, queries: bool = False) -> Preparation:
    """Hold out, rotate, mine and label as `matryoshka fit` does; the whole corpus is the sample. Without labels
    `queries` are those of split train alone."""
    config = configure(sections, seed, labels, queries)
    if len(there.ids) > config.mining.sample_rows:
        raise ValueError(f"{there.name} has {len(there.ids)} rows, more than the sample of {config.mining.sample_rows}")
    sample = Sample(
        ids=there.ids,
        vectors=there.vectors,
        moments=moments(there.vectors, METRIC),
        left_out=[],
        source_rows=len(there.ids),
    )
    asked = there.labelled if labels else there.labelled.queries if queries else None
    prepared = prepare(config, sample, asked, SearchHere(), lambda text: None)
    return Preparation(config, sample, prepared)


def fit_here(there: SearchSet, sections: Sections, seed: int, labels: bool, queries: bool = False) -> Adaptor:
    """The adaptor that `matryoshka fit` makes of this corpus and these settings, without evidence."""
    begun = prepare_here(there, sections, seed, labels, queries)
    prepared = begun.prepared
    state = train_stages(prepared.job, None)
    selection = outcome(state, prepared.job)
    described = describe(begun.config, begun.sample, prepared, selection, state)
    return build(described, fold(selection.module, prepared.basis, selection.head), prepared.pca)
