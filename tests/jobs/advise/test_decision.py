"""The pair that is named follows from lower ends, demands and bytes alone; the words say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.answer import answer, proxies
from jobs.advise.candidates import Candidate, Costs
from jobs.advise.decision import Advice
from jobs.advise.estimates import Estimates, combine, estimate
from jobs.advise.notes import same_as_pca
from jobs.config.databases import DATABASES
from jobs.config.targets import Target, parse_target
from jobs.search.scoring import MeasureEstimate

DIM = 64
#: Dim → overlap@10 of the adaptor in float16; PCA is 0.1 below, truncation 0.3.
KEPT = {8: 0.55, 16: 0.75, 32: 0.92, DIM: 1.0}
#: Overlap that int4 loses.
LOST = 0.02
COSTS = Costs(rows=1000, input_dim=DIM, vector_bytes_now=4 * DIM, metric="cosine")


def series(mean: float) -> np.ndarray:
    """400 scores with this mean, whose interval is ± 0.01."""
    return mean + 0.1 * np.tile([-1.0, 1.0], 200)


def estimates(kept: Mapping[int, float] = KEPT, judged: bool = False) -> Estimates:
    """The original scores 0.5 in nDCG@10, short vectors their overlap's share of that."""
    scores = {Column("original", DIM): {"overlap@10": np.ones(400)}}
    for method, encoding, lower in (
        ("truncation", "float32", 0.3),
        ("pca", "float32", 0.1),
        (ADAPTOR, "float16", 0.0),
        (ADAPTOR, "int4", LOST),
    ):
        exact = encoding != "int4"
        scores |= {
            Column(method, w, encoding): {"overlap@10": series(value - lower) if w < DIM or not exact else np.ones(400)}
            for w, value in kept.items()
        }
    if judged:
        for by_metric in scores.values():
            by_metric["ndcg@10"] = by_metric["overlap@10"] / 2
    return estimate(scores, 1000, 0)


def candidate(method: str, dim: int, encoding: str, bits: int) -> Candidate:
    column = Column(method, dim, "float32" if method != ADAPTOR else encoding)
    return Candidate(column, encoding, dim * bits // 8, dim * bits // 8)


def advice(targets: Sequence[str], found: Estimates | None = None, database: str | None = None) -> Advice:
    found = found or estimates()
    dims = sorted({column.dim for column, _ in found.absolute if column.method == ADAPTOR})
    own = [candidate(ADAPTOR, dim, *kind) for dim in dims for kind in (("float16", 16), ("int4", 4))]
    others = {method: [candidate(method, dim, "float16", 16) for dim in dims] for method in ("truncation", "pca")}
    return Advice(
        targets=[parse_target(text) for text in targets],
        estimates=found,
        costs=COSTS,
        candidates={ADAPTOR: sorted(own, key=lambda c: c.bytes), **others},
        database=DATABASES[database] if database else None,
    )


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
    st.tuples(st.integers(1, 40), st.integers(0, 100), st.integers(0, 30)), min_size=1, max_size=12, unique=True
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


@given(QUALITIES, st.integers(1, 40), st.integers(0, 40))
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


def test_the_answer_tells_bytes_intervals_other_methods_and_how_to_write_it() -> None:
    lines = answer(advice(["overlap@10 >= 0.6"]))
    assert lines[0].startswith("8 bytes: int4 x 16 keeps 73.0% [72.")
    assert lines[0].endswith("] of Overlap@10.")
    assert lines[1].startswith("It is the smallest that meets overlap@10 >= 0.6 (Overlap@10 0.730 [0.72")
    assert lines[2] == (
        "32x smaller: 8 bytes instead of 256 a vector, 8 kB instead of 256 kB in all (without ids and payload)."
    )
    assert lines[3] == (
        "For the same as float16, which searches like float32, PCA needs 32 bytes (float16 x 16) and truncation needs "
        "64 bytes (float16 x 32)."
    )
    assert lines[4] == "To write it: matryoshka compress with --output.dim 16 --output.encoding int4."
    assert answer(advice(["overlap@10 >= 0.8"]))[3].endswith("truncation needs 128 bytes (float16 x 64).")


def test_within_a_budget_it_is_told_what_others_keep_in_it() -> None:
    lines = answer(advice(["bytes <= 16"]))
    assert lines[0].startswith("16 bytes: int4 x 32 keeps 90.0% [89.")
    assert lines[1] == "It is the best that meets bytes <= 16."
    assert lines[3].startswith("In the same bytes as float16: PCA keeps 45.0% [44.")
    assert ", truncation keeps 25.0% [24." in lines[3]
    assert answer(advice(["bytes <= 4"]))[3] == (
        "In the same bytes as float16: PCA has no dim so small, truncation has no dim so small."
    )


def test_codes_that_are_rescored_say_so_and_what_of_them_is_searched() -> None:
    pair = Candidate(Column(ADAPTOR, 64, "binary > float16 x 16"), "binary", 40, 8, Column(ADAPTOR, 16, "float16"))
    assert str(pair) == "binary x 64 > float16 x 16"
    plain = advice(["overlap@10 >= 0.7"])
    found = {**plain.estimates.absolute, (pair.column, "overlap@10"): MeasureEstimate(0.9, 0.89, 0.91)}
    given = Estimates(found, found, plain.estimates.queries)

    def told(targets: list[str], own: list[Candidate]) -> list[str]:
        """The answer for a database."""
        demands = [parse_target(text) for text in targets]
        return answer(
            Advice(
                targets=demands, estimates=given, costs=COSTS, candidates={ADAPTOR: own}, database=DATABASES["milvus"]
            )
        )

    half = candidate(ADAPTOR, 32, "float16", 16)
    lines = told(["overlap@10 >= 0.8"], [pair, half])
    assert lines[:2] == [
        "40 bytes: binary x 64 > float16 x 16 keeps 90.0% [89.0, 91.0] of Overlap@10.",
        "The 100 nearest codes are scored again by float16.",
    ]
    assert (
        "To write it: matryoshka compress with --output.dim 64 --output.encoding binary --output.rescore.dim 16 "
        "--output.rescore.encoding float16."
    ) in lines
    assert lines[-2].startswith("Milvus compares int8 vectors as integers and binary ones by Hamming distance")
    assert "emulat" in lines[-1]
    small = candidate(ADAPTOR, 16, "int4", 16)  # 32 bytes
    found[small.column, "overlap@10"] = MeasureEstimate(0.9, 0.89, 0.91)
    (memory,) = (line for line in told(["overlap@10 >= 0.8"], [small, pair, half]) if "in memory" in line)
    assert "keeps 90.0% [89.0, 91.0] of Overlap@10 from 8 bytes that are searched, and 32 beside them" in memory


def test_when_nothing_will_do_the_words_say_which_demand_fails_and_what_to_do() -> None:
    lines = answer(advice(["overlap@10 >= 0.8", "bytes <= 8"]))
    assert lines[0] == "Nothing smaller than the 256 bytes of today meets overlap@10 >= 0.8 and bytes <= 8."
    assert lines[1].startswith("The quality takes 16 bytes a vector (int4 x 32); in the bytes allowed int4 x 16 has ")
    assert "Overlap@10 0.730 [0.72" in lines[1]
    assert lines[2] == "Allow more bytes, or ask for less."
    short = estimates({dim: value for dim, value in KEPT.items() if dim < DIM})
    lines = answer(advice(["overlap@10 >= 0.99", "bytes <= 64"], short))
    assert lines[1].startswith("overlap@10 >= 0.99: nothing meets it; float16 x 32 comes closest with Overlap@10 0.920")
    assert lines[2].startswith("Ask for less, or fit an adaptor with other dims, with labels")
    lines = answer(advice(["bytes <= 3"]))
    assert lines[1] == "bytes <= 3: nothing meets it; int4 x 8 comes closest with 4 bytes."


def test_targets_that_nothing_meets_together_are_told_one_by_one() -> None:
    scores = {Column("original", DIM): {"overlap@10": np.ones(400), "overlap@100": np.ones(400)}}
    for dim, (ten, hundred) in {16: (0.9, 0.5), 32: (0.6, 0.9)}.items():
        for column in (
            Column("truncation", dim),
            Column("pca", dim),
            *(Column(ADAPTOR, dim, e) for e in ("float16", "int4")),
        ):
            scores[column] = {"overlap@10": series(ten), "overlap@100": series(hundred)}
    for budget in ([], ["bytes <= 200"]):
        lines = answer(advice(["overlap@10 >= 0.8", "overlap@100 >= 0.8", *budget], estimate(scores, 1000, 0)))
        assert lines[1:] == [
            "overlap@10 >= 0.8 alone takes 8 bytes (int4 x 16).",
            "overlap@100 >= 0.8 alone takes 16 bytes (int4 x 32).",
            "Together they are too much: ask for less.",
        ]


def test_an_adaptor_with_nothing_smaller_is_told_so() -> None:
    for targets in (["overlap@10 >= 0.8"], ["bytes <= 64"]):
        told = Advice(
            targets=[parse_target(text) for text in targets],
            estimates=estimates(),
            costs=COSTS,
            candidates={ADAPTOR: [], "pca": []},
        )
        expected = "There is nothing smaller to look at: give advising.dims, or fit with other adaptor.dims."
        assert answer(told)[1] == expected


def test_without_a_target_the_usual_ones_are_answered() -> None:
    lines = answer(advice([]))
    assert lines[1].startswith("  90% of Overlap@10: 32 bytes, int4 x 64 (98.0% [97.")
    assert lines[2].startswith("  95% of Overlap@10: 32 bytes, int4 x 64 (98.0% [97.")
    assert lines[3].startswith("  98% of Overlap@10: 128 bytes, float16 x 64 (100.0% [100.")
    assert "of nDCG@10" in answer(advice([], estimates(judged=True)))[1]
    short = estimates({dim: value for dim, value in KEPT.items() if dim < DIM})
    assert answer(advice([], short))[3] == "  98% of Overlap@10: nothing below 256 bytes"


def test_without_judgments_the_validity_of_the_proxy_is_told() -> None:
    lines = proxies(advice(["overlap@10 >= 0.7"]))
    assert "rests on a proxy" in lines[0]
    assert "rank correlation" in lines[0]
    assert "with an overlap@10 of 0.7 to 0.8 kept" in lines[1]
    assert proxies(advice(["overlap@10 >= 0.7"], estimates(judged=True))) == []
    assert len(proxies(advice(["bytes <= 1"]))) == 1


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
