"""The pair that is named follows from lower ends, demands and bytes alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.candidates import Candidate, Costs
from jobs.advise.decision import Advice
from jobs.advise.estimates import Estimates, combine, estimate
from jobs.advise.notes import same_as_pca
from jobs.config.targets import Target
from jobs.search.scoring import MeasureEstimate
from tests.jobs.advise.inputs import COSTS, DIM, KEPT, advice, candidate, estimates


@pytest.mark.parametrize(
    ("targets", "chosen"),
    [
        (["overlap@10 >= 0.7"], "int4 x 16"),
        (["overlap@10 >= 0.725"], "int4 x 32"),  # int4 x 16 has 0.73, but its lower end is 0.72
        (["overlap@10 >= 0.715"], "int4 x 16"),
        (["overlap@10 >= 0.95"], "int4 x 64"),
        (["overlap@10 >= 0.99"], "float16 x 64"),  # a smaller encoding of the full dimension saves, too
        (["overlap@10 >= 1"], "float16 x 64"),
        (["overlap@10 >= 0.7", "bytes <= 8"], "int4 x 16"),
        (["overlap@10 >= 0.8", "bytes <= 8"], None),
        (["bytes <= 31"], "int4 x 32"),  # bytes alone: the best that fits, not the largest
        (["bytes <= 130"], "float16 x 64"),
        (["total_bytes <= 20kB"], "int4 x 32"),
        (["bytes <= 3"], None),
        (["overlap@10 >= 0.5", "overlap@10 >= 0.9"], "int4 x 64"),
    ],
)
def test_the_smallest_pair_whose_lower_end_meets_everything(targets: list[str], chosen: str | None) -> None:
    choice = advice(targets).choice
    assert (choice and str(choice)) == chosen


QUALITIES = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 100), st.integers(0, 30)), min_size=1, max_size=12, unique=True
)


def chosen(candidates: list[tuple[int, int, int]], *targets: Target) -> tuple[int, int, int] | None:
    """What is chosen among candidates of (bytes, percent, percent that the lower end lies below), as given."""
    columns = {Column(ADAPTOR, number + 1, "int2"): given for number, given in enumerate(candidates)}
    found = {
        (column, "overlap@10"): MeasureEstimate(value / 100, (value - below) / 100, (value + 1) / 100)
        for column, (_, value, below) in columns.items()
    }
    own = [Candidate(column, "int2", size, size) for column, (size, _, _) in columns.items()]
    told = Advice(
        targets=targets,
        estimates=Estimates(found, found, {"overlap@10": 9}),
        costs=COSTS,
        candidates={ADAPTOR: sorted(own, key=lambda c: c.bytes)},
    )
    return None if told.choice is None else columns[told.choice.column]


@given(QUALITIES, st.integers(1, 100))
def test_nothing_smaller_meets_the_target_and_the_choice_does(some: list[tuple[int, int, int]], percent: int) -> None:
    choice = chosen(some, Target("overlap@10", percent / 100))
    good = [given for given in some if given[1] - given[2] >= percent]
    assert (choice is None) == (not good)
    if choice is not None:
        assert choice in good
        assert choice[0] == min(size for size, *_ in good)
        assert choice[1] == max(value for size, value, _ in good if size == choice[0]), "of equals the better"


@given(QUALITIES, st.integers(1, 100), st.integers(0, 50))
def test_a_higher_target_never_takes_fewer_bytes(some: list[tuple[int, int, int]], percent: int, more: int) -> None:
    low = chosen(some, Target("overlap@10", percent / 100))
    high = chosen(some, Target("overlap@10", (percent + more) / 100))
    assert high is None or (low is not None and low[0] <= high[0])


@given(QUALITIES, st.integers(1, 6), st.integers(0, 6))
def test_within_a_budget_the_best_is_chosen_and_more_bytes_never_harm(
    some: list[tuple[int, int, int]], most: int, more: int
) -> None:
    small, large = chosen(some, Target("bytes", most)), chosen(some, Target("bytes", most + more))
    fitting = [value for size, value, _ in some if size <= most]
    assert (small is None) == (not fitting)
    if small is not None:
        assert small[1] == max(fitting)
        assert large is not None
        assert large[1] >= small[1]


def test_a_share_of_the_original_is_judged_on_the_same_queries() -> None:
    # Hard queries are hard for both: the interval of the share is far narrower than that of the value.
    judged = estimates(judged=True)
    base = np.random.default_rng(0).uniform(0, 1, 400)
    scores = {Column("original", 64): {"ndcg@10": base}, Column(ADAPTOR, 8): {"ndcg@10": base * 0.99}}
    share = estimate(scores, 500, 0).shares[Column(ADAPTOR, 8), "ndcg@10"]
    assert share.value == pytest.approx(0.99)
    assert share.ci_high - share.ci_low < 1e-6
    assert str(advice(["ndcg@10 >= 0.7 of original"], judged).choice) == "int4 x 16"
    assert advice(["ndcg@10 >= 0.7"], judged).choice is None


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


def test_it_is_told_where_the_adaptor_is_pca() -> None:
    dims = [dim for dim in KEPT if dim < DIM]
    both = {dim: np.full(400, value) for dim, value in KEPT.items()}
    scores = {Column(m, w): {"overlap@10": s} for m in ("pca", ADAPTOR) for w, s in both.items()}
    scores[Column("original", DIM)] = {"overlap@10": np.ones(400)}
    (said,) = same_as_pca(estimate(scores, 100, 0), dims)
    assert said.startswith("the adaptor gives what PCA gives at every dim: the fit found nothing better")
    scores[Column(ADAPTOR, 8)] = {"overlap@10": both[8] + 0.001}
    scores[Column(ADAPTOR, 16)] = {"overlap@10": both[16] + 0.0004}  # the table would show the same
    assert same_as_pca(estimate(scores, 100, 0), dims) == ["the adaptor gives what PCA gives at dim 16, 32"]
    scores |= {Column(ADAPTOR, dim): {"overlap@10": both[dim] + 0.1} for dim in dims}
    assert same_as_pca(estimate(scores, 100, 0), dims) == []


def test_costs() -> None:
    half = Costs(rows=10**9, input_dim=1536, vector_bytes_now=12288, metric="l2")
    assert half.total_bytes(candidate(ADAPTOR, 64, "float16", 16)) == 128 * 10**9
    assert (half.flops(64), COSTS.flops(64)) == (192, 128)
