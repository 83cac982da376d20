"""The product's own fit in this process: what `matryoshka fit` does between reading and writing, without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptor.approximate import approximate_neighbours
from adaptor.artefact import Adaptor, build
from adaptor.model import fold
from adaptor.neighbours import Neighbours, top_k
from adaptor.pca import moments
from adaptor.rows import Floats
from adaptor.settings import Metric
from adaptor.stages import outcome, train_stages
from adaptor.training import Job
from jobs.config.fit import FitConfig
from jobs.fit.data import Prepared, prepare
from jobs.fit.description import describe, fitted_dims
from jobs.fit.labels import Labelled
from jobs.fit.query_log import chosen
from jobs.fit.sample import Sample
from tests.benchmarks.contest.sets import SearchSet

METRIC: Metric = "cosine"
Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """What a fit starts from: the configuration, the whole corpus as the sample, and the training set."""

    config: FitConfig
    sample: Sample
    dims: tuple[int, ...]
    prepared: Prepared


def configure(sections: Sections, seed: int, labels: bool, queries: bool = False) -> FitConfig:
    """The configuration of a fit with these settings; paths are names only, nothing is read or written there."""
    training = {**sections.get("training", {}), "seed": seed}
    named = {"queries": {"uri": "train"}} if labels or queries else {}
    named |= {"qrels": {"uri": "train"}} if labels else {}
    places = {"source": {"uri": "corpus", "metric": METRIC}, "output": {"uri": "nowhere"}}
    return FitConfig.model_validate({**places, **named, **sections, "training": training})


def search_here(
    queries: Floats,
    corpus: Sequence[Floats],
    k: int,
    *,
    metric: Metric | None = None,
    itself: bool = False,
    nprobe: int | None = None,
) -> Neighbours:
    """The search that preparing asks for, on arrays of this process."""
    if itself and nprobe is not None:
        return approximate_neighbours(queries, k, METRIC, nprobe)
    rows = np.concatenate(corpus)
    numbers = np.arange(len(rows), dtype=np.int64)
    return top_k(queries, rows, numbers, k, metric or METRIC, numbers if itself else None)


def prepare_here(there: SearchSet, sections: Sections, seed: int, labels: bool, queries: bool = False) -> Preparation:
    """Hold out, rotate, mine and label as `matryoshka fit` does; the whole corpus is the sample. Without labels
    `queries` are those of split train alone."""
    config = configure(sections, seed, labels, queries)
    if len(there.ids) > config.mining.sample_rows:
        raise ValueError(f"{there.name} has {len(there.ids)} rows, more than the sample of {config.mining.sample_rows}")
    sample = Sample(there.vectors, there.ids, moments(there.vectors, METRIC), [], len(there.ids))
    told: Labelled | Floats | None = there.labelled if labels else None
    if queries:
        told = chosen(there.labelled.queries.vectors, METRIC, seed)
    prepared = prepare(config, sample, told, search_here, lambda text: None)
    return Preparation(config, sample, fitted_dims(config, there.vectors.shape[1]), prepared)


def fit_here(there: SearchSet, sections: Sections, seed: int, labels: bool, queries: bool = False) -> Adaptor:
    """The adaptor that `matryoshka fit` makes of this corpus and these settings, without evidence."""
    begun = prepare_here(there, sections, seed, labels, queries)
    config, prepared = begun.config, begun.prepared
    job = Job(prepared.data, config.loss, config.training, METRIC, begun.dims)
    state = train_stages(job, config.adaptor, None, lambda look: None)
    selection = outcome(state, job, config.adaptor)
    described = describe(config, begun.sample, begun.dims, (selection, state), there.name)
    return build(described, fold(selection.module, prepared.start, prepared.scale, selection.head), prepared.pca)
