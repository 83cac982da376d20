"""The dim that is named follows from lower ends, demands and costs alone; the words say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from adaptor.baselines import Column
from jobs.advise.answer import answer, proxies
from jobs.advise.decision import Advice, Costs, decide
from jobs.advise.estimates import Estimates, combine, estimate
from jobs.advise.notes import same_as_pca
from jobs.config.targets import parse_target

DIM = 64
#: Dim → overlap@10 of the adaptor; PCA is 0.1 below, truncation 0.3.
KEPT = {8: 0.55, 16: 0.75, 32: 0.92, DIM: 1.0}
COSTS = Costs(rows=1000, input_dim=DIM, vector_bytes_now=4 * DIM, vector_bytes=lambda dim: 4 * dim, metric="cosine")


def series(mean: float) -> np.ndarray:
    """400 scores with this mean, whose interval is ± 0.01."""
    return mean + 0.1 * np.tile([-1.0, 1.0], 200)


def estimates(kept: Mapping[int, float] = KEPT, judged: bool = False) -> Estimates:
    """The original scores 0.5 in nDCG@10, short vectors their overlap's share of that."""
    scores = {Column("original", DIM): {"overlap@10": np.ones(400)}}
    for method, lower in (("truncation", 0.3), ("pca", 0.1), ("adaptor", 0.0)):
        scores |= {
            Column(method, w): {"overlap@10": series(value - lower) if w < DIM else np.ones(400)}
            for w, value in kept.items()
        }
    if judged:
        for by_metric in scores.values():
            by_metric["ndcg@10"] = by_metric["overlap@10"] / 2
    return estimate(scores, 1000, 0)


def advice(targets: Sequence[str], given: Estimates | None = None) -> Advice:
    return decide([parse_target(text) for text in targets], given or estimates(), COSTS)


@pytest.mark.parametrize(
    ("targets", "dim"),
    [
        (["overlap@10 >= 0.7"], 16),
        (["overlap@10 >= 0.745"], 32),  # 16 has 0.75, but its lower end is 0.74
        (["overlap@10 >= 0.735"], 16),
        (["overlap@10 >= 0.95"], None),  # only the full dimension has it, which saves nothing
        (["overlap@10 >= 0.7", "bytes <= 64"], 16),
        (["overlap@10 >= 0.8", "bytes <= 64"], None),
        (["bytes <= 130"], 32),  # budgets alone: the largest that fits
        (["total_bytes <= 70kB"], 16),
        (["bytes <= 31"], None),
        (["overlap@10 >= 0.5", "overlap@10 >= 0.9"], 32),
    ],
)
def test_the_smallest_dim_whose_lower_end_meets_everything(targets: list[str], dim: int | None) -> None:
    assert advice(targets).chosen["adaptor"] == dim


def test_a_share_of_the_original_is_judged_on_the_same_queries() -> None:
    # Hard queries are hard for both: the interval of the share is far narrower than that of the value.
    judged = estimates(judged=True)
    base = np.random.default_rng(0).uniform(0, 1, 400)
    scores = {Column("original", 64): {"ndcg@10": base}, Column("adaptor", 8): {"ndcg@10": base * 0.99}}
    share = estimate(scores, 500, 0).shares[Column("adaptor", 8), "ndcg@10"]
    assert share.value == pytest.approx(0.99)
    assert share.ci_high - share.ci_low < 1e-6
    assert advice(["ndcg@10 >= 0.7 of original"], judged).chosen["adaptor"] == 16
    assert advice(["ndcg@10 >= 0.7"], judged).chosen["adaptor"] is None


def test_intervals_contain_the_mean_and_stay_within_bounds() -> None:
    high = estimate({Column("original", 4): {"overlap@10": np.array([1.2, 1.0, 0.9])}}, 200, 0)
    assert high.of(Column("original", 4), "overlap@10") == (
        1.0,
        high.of(Column("original", 4), "overlap@10").ci_low,
        1.0,
    )
    for found in (*estimates().absolute.values(), *estimates().shares.values()):
        assert found.ci_low <= found.value <= found.ci_high


def test_an_estimate_of_two_curves_spans_both() -> None:
    low, high = estimates({8: 0.5, DIM: 1.0}), estimates({8: 0.6, DIM: 1.0})
    both = combine([low, high])
    column = Column("pca", 8)
    assert both.of(column, "overlap@10").value == pytest.approx(0.45)
    assert both.of(column, "overlap@10").ci_low == low.of(column, "overlap@10").ci_low
    assert both.of(column, "overlap@10").ci_high == high.of(column, "overlap@10").ci_high
    assert both.of(column, "overlap@10", relative=True).ci_low == low.of(column, "overlap@10", relative=True).ci_low
    assert combine([low]) == low


def test_other_methods_are_told_beside_the_answer() -> None:
    lines = answer(advice(["overlap@10 >= 0.6"]))
    assert lines[0].startswith("Smallest dim that meets overlap@10 >= 0.6: 16 (Overlap@10 0.750 [0.74")
    assert "4x less arithmetic per comparison and 4x fewer bytes: 64 instead of 256 a vector, 64 kB" in lines[1]
    assert lines[2] == "For the same, PCA needs 16 and truncation needs 32."
    (last,) = answer(advice(["overlap@10 >= 0.8"]))[2:]
    assert last == "For the same, PCA needs 32 and no smaller dim of truncation will do."


def test_when_no_dim_will_do_the_words_say_which_demand_fails_and_what_to_do() -> None:
    lines = answer(advice(["overlap@10 >= 0.8", "bytes <= 64"]))
    assert lines[0] == "No dim below 64 meets overlap@10 >= 0.8 and bytes <= 64."
    assert lines[1].startswith("The quality takes 32 dimensions, 128 bytes a vector; ")
    assert "the bytes allow 16, which keep Overlap@10 0.750 [0.74" in lines[1]
    assert lines[2] == "Allow more bytes, take a smaller advising.encoding, or ask for less."
    lines = answer(advice(["overlap@10 >= 0.99", "bytes <= 64"]))
    assert lines[1].startswith("overlap@10 >= 0.99: no dim meets it; 32 comes closest with Overlap@10 0.920 [0.91")
    assert lines[2].startswith("Ask for less, or fit an adaptor with other dims, with labels")
    lines = answer(advice(["bytes <= 16"]))
    assert lines[1] == "bytes <= 16: no dim meets it; 8 comes closest with 32 bytes."


def test_targets_that_no_dim_meets_together_are_told_one_by_one() -> None:
    scores = {Column("original", DIM): {"overlap@10": np.ones(400), "overlap@100": np.ones(400)}}
    for dim, (ten, hundred) in {16: (0.9, 0.5), 32: (0.6, 0.9), DIM: (1.0, 1.0)}.items():
        for method in ("truncation", "pca", "adaptor"):
            scores[Column(method, dim)] = {"overlap@10": series(ten), "overlap@100": series(hundred)}
    for budget in ([], ["bytes <= 200"]):
        lines = answer(advice(["overlap@10 >= 0.8", "overlap@100 >= 0.8", *budget], estimate(scores, 1000, 0)))
        assert lines[1:] == [
            "overlap@10 >= 0.8 is met at 16 only.",
            "overlap@100 >= 0.8 is met at 32 only.",
            "Ask for less.",
        ]


def test_an_adaptor_without_a_smaller_dim_is_told_so() -> None:
    for targets in (["overlap@10 >= 0.8"], ["bytes <= 64"]):
        lines = answer(advice(targets, estimates({DIM: 1.0})))
        assert lines[1] == "There is no smaller one to look at: give advising.dims, or fit with other adaptor.dims."


def test_without_a_target_the_usual_ones_are_answered() -> None:
    lines = answer(advice([]))
    assert lines[1:] == [
        "  90% of Overlap@10: 32",
        "  95% of Overlap@10: none below 64",
        "  98% of Overlap@10: none below 64",
    ]
    assert "of nDCG@10" in answer(advice([], estimates(judged=True)))[1]


def test_without_judgments_the_validity_of_the_proxy_is_told() -> None:
    lines = proxies(advice(["overlap@10 >= 0.7"]))
    assert "rests on a proxy" in lines[0]
    assert "rank correlation" in lines[0]
    assert "with an overlap@10 of 0.7 to 0.8 kept" in lines[1]
    assert proxies(advice(["overlap@10 >= 0.7"], estimates(judged=True))) == []
    assert len(proxies(advice(["overlap@10 >= 0.99"]))) == 1


def test_it_is_told_where_the_adaptor_is_pca() -> None:
    assert same_as_pca(advice([])) == []
    both = {dim: np.full(400, value) for dim, value in KEPT.items()}
    scores = {Column(m, w): {"overlap@10": s} for m in ("pca", "adaptor") for w, s in both.items()}
    scores[Column("original", DIM)] = {"overlap@10": np.ones(400)}
    (said,) = same_as_pca(advice([], estimate(scores, 100, 0)))
    assert said.startswith("the adaptor gives what PCA gives at every dim: the fit found nothing better")
    scores[Column("adaptor", 8)] = {"overlap@10": both[8] + 0.001}
    scores[Column("adaptor", 16)] = {"overlap@10": both[16] + 0.0004}  # the table would show the same
    assert same_as_pca(advice([], estimate(scores, 100, 0))) == ["the adaptor gives what PCA gives at dim 16, 32"]


def test_costs() -> None:
    half = Costs(rows=10**9, input_dim=1536, vector_bytes_now=12288, vector_bytes=lambda dim: 2 * dim, metric="l2")
    assert (half.vector_bytes(64), half.total_bytes(64)) == (128, 128 * 10**9)
    assert (half.flops(64), COSTS.flops(64)) == (192, 128)
