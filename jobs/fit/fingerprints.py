"""Which fits are the same: by where their inputs lie, and by what is in them.

The input fingerprint is known before anything is read: it is made of the configuration and the listing of the source
(keys, sizes, versions), and a second run with the same one has nothing to do. The fit fingerprint is made of contents:
settings, recipe version, sampled vectors and ids, and queries with their judgments. It is the same for a copy of the
source elsewhere, and on any processor, where the weights agree to about three digits only, and adaptor ids do not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from adaptor.identity import canonical, sha256
from adaptor.recipes import RECIPE_VERSIONS
from adaptor.rows import Floats
from jobs.commits.output_version import location
from jobs.config.fit import FitConfig
from jobs.fit.labels import Labelled
from jobs.fit.sample import Sample
from jobs.sources.queries import Queries
from jobs.sources.source import Shard, open_source


def settings(config: FitConfig) -> dict[str, Any]:
    """All settings that shape the adaptor beside its recipe, with their defaults."""
    sections = {"adaptor", "training", "mining"}
    # How safely it is made changes nothing.
    return config.model_dump(mode="json", include=sections, exclude={"training": {"checkpoint_seconds"}})


def input_fingerprint(config: FitConfig, shards: list[Shard]) -> str:
    """Hash of the configuration and of what lies in the source (and beside it, with queries): 64 hexadecimal digits."""
    listings = [shards]
    for name, section in (("queries", config.queries), ("qrels", config.qrels)):
        if section is not None:
            listings.append(open_source(section, name).shards())
    # How a place is spelt and reached changes nothing; who runs again after an outage may want more attempts.
    sources = [section for section in (config.source, config.queries, config.qrels) if section is not None]
    described = [section.model_dump(mode="json", exclude={"uri", "filesystem"}) for section in sources]
    places = [location(section.uri) for section in sources]
    files = [[(shard.key, shard.size, shard.version) for shard in listing] for listing in listings]
    return sha256(canonical([settings(config), _recipe_version(config), described, places, files]))


def fit_fingerprint(config: FitConfig, sample: Sample, queries: Labelled | Queries | None) -> str:
    """Hash of what the fit learns from and how: 64 hexadecimal digits."""
    judged: Mapping[str, Any] = {}
    tables = {"sample": (sample.ids, sample.vectors)}
    if isinstance(queries, Labelled):
        judged = {name: dict(queries.qrels[name]) for name in queries.queries.ids if name in queries.qrels}
        names = sorted(queries.documents)
        if names:
            tables["documents"] = (names, np.stack([queries.documents[name] for name in names]))
        queries = queries.queries
    if queries is not None:
        tables["queries"] = (queries.ids, queries.vectors)
    about = [settings(config), _recipe_version(config), config.source.metric, judged]
    return sha256(canonical([about, {name: _digest(*table) for name, table in tables.items()}]))


def _digest(ids: list[str], vectors: Floats) -> str:
    digest = hashlib.sha256(canonical([ids, vectors.shape]))
    digest.update(np.ascontiguousarray(vectors, "<f4").data)
    return digest.hexdigest()


def _recipe_version(config: FitConfig) -> int:
    return RECIPE_VERSIONS[config.adaptor.recipe]
