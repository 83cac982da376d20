"""What the user should know about the adaptor before believing an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from adaptor.baselines import ADAPTOR, Column
from adaptor.quality import Scores
from jobs.advise.estimates import Estimates
from jobs.search.context import MeasureContext
from jobs.search.scoring import OVERLAPS

#: Share of the source from which on the adaptor counts as knowing it.
_KNOWN_SHARE = 0.2
#: Measures that differ by less are the same to a reader.
_EQUAL = 0.0005


def adaptor_notes(context: MeasureContext) -> Iterator[str]:
    """What the adaptor learned from, where that makes it look better or worse here than it is."""
    document = context.adaptor.document
    data = document.get("data", {})
    share = data.get("sampled_rows", 0) / max(1, data.get("source_rows", 1))
    if share >= _KNOWN_SHARE:
        yield (
            f"the adaptor learned from {share:.0%} of the rows of its source, so rows here are not new to it; the "
            "evidence in the adaptor is of rows that it never saw"
        )
    if not context.qrels and document.get("supervised"):
        yield (
            "the adaptor was fitted with labels, which move vectors away from the original on purpose: its overlaps "
            "say less than its quality; give queries and qrels that the fit did not see"
        )
    if context.queries is not None and data.get("queries"):
        yield (
            f"the adaptor was fitted with {data['queries']:,} queries of a log: if these are among them, others will "
            "do less well; give queries that the fit did not see"
        )


def same_as_pca(estimates: Estimates, dims: Sequence[int]) -> list[str]:
    """At which of `dims` the adaptor gives what PCA gives: by design of the recipe, or because the fit found nothing
    better."""
    overlaps = [metric for metric in estimates.metrics if metric in OVERLAPS]

    def values(method: str, dim: int) -> Scores:
        """All overlaps of one column."""
        return np.array([estimates.of(Column(method, dim), metric).value for metric in overlaps])

    same = [dim for dim in dims if np.abs(values(ADAPTOR, dim) - values("pca", dim)).max() < _EQUAL]
    if same and same == list(dims):
        return ["the adaptor gives what PCA gives at every dim: the fit found nothing better on held-out rows"]
    return [f"the adaptor gives what PCA gives at dim {', '.join(map(str, same))}"] if same else []
