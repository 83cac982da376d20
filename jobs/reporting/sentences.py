"""What the numbers say, in plain words: the same sentences stand on the terminal and in report.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from jobs.search.methods import ORIGINAL, Column
from jobs.search.scoring import METRICS, RETRIEVAL, Comparison, Record

METRIC_NAMES = {
    "ndcg@10": "nDCG@10",
    "recall@10": "Recall@10",
    "recall@100": "Recall@100",
    "mrr@10": "MRR@10",
    "overlap@1": "Overlap@1",
    "overlap@10": "Overlap@10",
    "overlap@100": "Overlap@100",
    "pairwise_distance": "Pairwise distance",
    "topk_distance": "Top-10 distance",
}
METRIC_MEANINGS = {
    "ndcg@10": "ranking quality of the first ten results",
    "recall@10": "share of the relevant documents among the first ten",
    "recall@100": "share of the relevant documents among the first hundred",
    "mrr@10": "one over the rank of the first relevant document",
    "overlap@1": "how often the true nearest neighbour comes first",
    "overlap@10": "share of the true ten nearest neighbours found",
    "overlap@100": "share of the true hundred nearest neighbours found",
    "pairwise_distance": "mean change of similarity between two queries; lower is better",
    "topk_distance": "mean change of similarity to the ten nearest neighbours; lower is better",
}
METHOD_NAMES = {ORIGINAL: "Full dimension", "truncation": "Truncation", "pca": "PCA", "adaptor": "Adaptor"}
ADAPTOR = "adaptor"
#: Share of the main measure from which a dim counts as good in the headline.
KEPT = 0.9


@dataclass(frozen=True)
class Results:
    """All records of one set with the paired comparisons of the adaptor on the main measure."""

    records: Sequence[Record]
    comparisons: Sequence[Comparison]

    @cached_property
    def by_key(self) -> dict[tuple[Column, str], Record]:
        """Record by column and metric."""
        return {(Column(r.method, r.dim), r.metric): r for r in self.records}

    @property
    def input_dim(self) -> int:
        """Full dimension."""
        return next(record.dim for record in self.records if record.method == ORIGINAL)

    @property
    def dims(self) -> list[int]:
        """Dims compared, ascending."""
        return sorted({record.dim for record in self.records if record.method != ORIGINAL})

    @property
    def methods(self) -> list[str]:
        """Methods compared, without the original, in their own order."""
        return list(dict.fromkeys(record.method for record in self.records if record.method != ORIGINAL))

    @property
    def metrics(self) -> list[str]:
        """Measures there are, in the order in which they are shown."""
        there = {record.metric for record in self.records}
        return [metric for metric in METRICS if metric in there]

    @property
    def main(self) -> str:
        """The measure that the headline is about."""
        return main_metric(self.metrics)

    def value(self, method: str, dim: int, metric: str) -> float:
        """Mean of one measure."""
        return self.by_key[Column(method, dim), metric].value

    def original(self, metric: str) -> Record:
        """The measure at full dimension."""
        return self.by_key[Column(ORIGINAL, self.input_dim), metric]

    def best(self, dim: int, metric: str) -> set[str]:
        """Methods that are best at a dim, to the three digits that are shown; none where all are equal."""
        shown = {method: round(self.value(method, dim, metric), 3) for method in self.methods}
        top = min(shown.values()) if metric.endswith("_distance") else max(shown.values())
        best = {method for method, value in shown.items() if value == top}
        return best if len(best) < len(shown) else set()


def main_metric(metrics: Sequence[str]) -> str:
    """`ndcg@10` where it was measured, else `overlap@10`."""
    return "ndcg@10" if "ndcg@10" in metrics else "overlap@10"


@dataclass(frozen=True)
class Headline:
    """The sentence, the dim that it is about, and the share of the main measure that each method keeps there."""

    sentence: str
    dim: int
    kept: dict[str, float]

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Method and share kept, the best first."""
        return sorted(self.kept.items(), key=lambda item: -round(item[1], 2))


def headline(results: Results) -> Headline:
    """Speak about the smallest dim at which the adaptor keeps 90% of the main measure, else the widest below d."""
    full = results.original(results.main).value
    short = [dim for dim in results.dims if dim < results.input_dim] or results.dims
    if full <= 0:
        dim = short[-1]
        text = (
            f"The original vectors score 0 in {METRIC_NAMES[results.main]}: nothing can be compared on these judgments."
        )
        return Headline(text, dim, {})
    share = {m: {w: results.value(m, w, results.main) / full for w in short} for m in results.methods}
    dim = next((w for w in short if share[ADAPTOR][w] >= KEPT), short[-1])
    kept = {method: share[method][dim] for method in (ADAPTOR, *(m for m in results.methods if m != ADAPTOR))}
    others = ", ".join(f"{in_text(m)} {percent(kept[m])}" for m in kept if m != ADAPTOR)
    verb = f"keeps {percent(kept[ADAPTOR])} of {METRIC_NAMES[results.main]}"
    if results.main not in RETRIEVAL:
        verb = f"finds {percent(kept[ADAPTOR])} of the true ten nearest neighbours"
    at = f"At {dim:,} of {results.input_dim:,} dimensions{_smaller(results.input_dim, dim)}"
    text = f"{at} the adaptor {verb}; {others}."
    return Headline(text, dim, kept)


def verdicts(results: Results) -> list[str]:
    """One sentence per other method: where the adaptor is better, worse, or not clearly different (paired, 95%)."""
    sentences = []
    for method in results.methods:
        mine = [c for c in results.comparisons if c.against == method]
        if not mine:
            continue
        better = [c.dim for c in mine if c.ci_low > 0]
        worse = [c.dim for c in mine if c.ci_high < 0]
        same = [c.dim for c in mine if c.dim not in better and c.dim not in worse]
        parts = [
            f"{word} at {_listed(dims)}"
            for word, dims in (("better", better), ("worse", worse), ("no clear difference", same))
            if dims
        ]
        sentences.append(f"Against {in_text(method)}: {'; '.join(parts)}.")
    return sentences


def describe(results: Results, metric: str) -> str:
    """A chart in words, for those who do not see it."""
    original = results.original(metric)
    lines = [f"Full dimension ({results.input_dim}): {original.value:.3f}."]
    for method in results.methods:
        points = ", ".join(f"{dim}: {results.value(method, dim, metric):.3f}" for dim in results.dims)
        lines.append(f"{METHOD_NAMES.get(method, method)} by dim: {points}.")
    return " ".join(lines)


def percent(share: float) -> str:
    """A share as whole percents; never rounded up to 100%."""
    return f"{min(round(100 * share), 99) if share < 1 else round(100 * share)}%"


def _smaller(input_dim: int, dim: int) -> str:
    return f" ({input_dim / dim:.2g}x smaller)" if dim < input_dim else ""


def in_text(method: str) -> str:
    """The name of a method inside a sentence."""
    return {"pca": "PCA"}.get(method, method)


def _listed(dims: Sequence[int]) -> str:
    return ", ".join(str(dim) for dim in dims)
