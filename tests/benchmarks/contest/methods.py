"""The contestants, in the order in which they run: cheap ones first, so that an interrupted run is of use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.recipes import RECIPE_VERSIONS
from jobs.config.fit import FitConfig
from tests.benchmarks.contest import adawidth, leanvec, search_adaptor, smec, untrained
from tests.benchmarks.contest.maps import Maps, one
from tests.benchmarks.contest.product import Sections, configure, fit_here
from tests.benchmarks.contest.sets import SearchSet


@dataclass(frozen=True)
class Method:
    """A contestant: `fit` takes a set and a seed. `labels` says that it learns from judgments, `queries` that it learns
    from queries without them, `seeds` that chance plays a part. `settings` is all that shapes it, `version` counts
    changes of its code."""

    fit: Callable[[SearchSet, int], Maps]
    labels: bool = False
    seeds: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    queries: bool = False

    def key(self) -> str:
        """Twelve hexadecimal digits that change when the method does."""
        text = json.dumps([self.settings, self.version, self.labels], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def fixed(make: Callable[[SearchSet, int], Adaptor], seeds: bool = False) -> Method:
    """A method without training."""
    return Method(lambda there, seed: one(make(there, seed)), seeds=seeds, settings={"untrained": make.__name__})


def fitted(sections: Sections, labels: bool = False, queries: bool = False) -> Method:
    """The product's fit with these settings over its defaults."""
    config = configure(sections, 0, labels, queries)
    about = {"recipe": config.recipe, "mining": config.mining}
    settings: dict[str, Any] = {name: part.model_dump(mode="json") for name, part in about.items()}
    settings |= {"version": RECIPE_VERSIONS[config.adaptor.recipe], "dims": config.adaptor.dims}
    if queries:
        settings["queries"] = "different ones"
    return Method(
        lambda there, seed: one(fit_here(there, sections, seed, labels, queries)),
        labels,
        settings=settings,
        queries=queries,
    )


def published(fit: Callable[..., Maps], labels: bool, **options: Any) -> Method:
    """A method of the literature as written down under tests/benchmarks, with options of its fit."""
    return Method(lambda there, seed: fit(there, seed, **options), labels, settings={"fit": fit.__module__, **options})


PAPER: Sections = {"adaptor": {"recipe": "paper"}}
PAPER_FROM_PCA: Sections = {**PAPER, "variant": {"model": {"initialisation": "pca"}}}

METHODS: dict[str, Method] = {
    "truncation": fixed(untrained.truncation),
    "random rotation": fixed(untrained.random_rotation, seeds=True),
    "random coordinates": fixed(untrained.random_coordinates, seeds=True),
    "variance order": fixed(untrained.variance_order),
    "pca centred": fixed(untrained.pca_centred),
    "pca": fixed(untrained.pca),
    "pca softly whitened": fixed(untrained.softly_whitened),
    "leanvec with queries": Method(leanvec.fit, seeds=False, settings={"fit": leanvec.__name__}, queries=True),
    "default": fitted({}),
    "default with queries": fitted({}, queries=True),
    "default supervised": fitted({}, labels=True),
    "paper": fitted(PAPER),
    "paper from pca": fitted(PAPER_FROM_PCA),
    "adawidth": published(adawidth.fit, labels=False, start="identity", judged=False),
    "adawidth from pca": published(adawidth.fit, labels=False, start="pca", judged=False),
    "search-adaptor": published(search_adaptor.fit, labels=True, start="identity"),
    "search-adaptor from pca": published(search_adaptor.fit, labels=True, start="pca"),
    "smec": published(smec.fit, labels=True, start="identity"),
    "smec from pca": published(smec.fit, labels=True, start="pca"),
    "adawidth supervised": published(adawidth.fit, labels=True, start="identity", judged=True),
    "adawidth supervised from pca": published(adawidth.fit, labels=True, start="pca", judged=True),
    "paper supervised": fitted(PAPER, labels=True),
    "paper supervised from pca": fitted(PAPER_FROM_PCA, labels=True),
}
#: Ours, each compared with PCA and with the best of those that learn from no more than it does.
OURS = ("default", "default supervised", "default with queries")

__all__ = ["METHODS", "OURS", "FitConfig", "Maps", "Method"]
