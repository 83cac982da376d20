"""The words agree with the numbers, and say what to do."""

from __future__ import annotations

import io

import numpy as np

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.answer import answer, proxies
from jobs.advise.candidates import Candidate
from jobs.advise.decision import Advice
from jobs.advise.estimates import Estimates, estimate
from jobs.advise.table import print_advice, worth_a_row
from jobs.config.databases import DATABASES
from jobs.config.targets import parse_target
from jobs.search.scoring import MeasureEstimate
from tests.jobs.advise.inputs import COSTS, DIM, KEPT, advice, candidate, estimates, series


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
    assert lines[4:] == ["To write it: matryoshka compress with --output.dim 16 --output.encoding int4."]
    assert answer(advice(["overlap@10 >= 0.8"]))[3].endswith("truncation needs 128 bytes (float16 x 64).")


def test_within_a_budget_it_is_told_what_others_keep_in_it() -> None:
    lines = answer(advice(["bytes <= 16"]))
    assert lines[0].startswith("16 bytes: int4 x 32 keeps 90.0% [89.")
    assert lines[1] == "It is the best that meets bytes <= 16."
    assert lines[3].startswith("In the same bytes as float16: PCA keeps 45.0% [44.")
    assert ", truncation keeps 25.0% [24." in lines[3]
    assert len(lines) == 5, "smaller ones that fit are no answer"
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


def test_the_table_shows_what_is_worth_a_row_and_always_the_choice() -> None:
    told = advice(["overlap@10 >= 0.9"])
    assert [str(c) for c in told.front] == ["int4 x 8", "int4 x 16", "int4 x 32", "int4 x 64", "float16 x 64"]
    assert [str(c) for c in worth_a_row(told)] == [str(c) for c in told.front]
    little = {DIM: 1.0, 16: 0.90, 8: 0.92}  # the larger dim is worse, float16 x 8 a little better than int4 x 8
    assert [str(c) for c in worth_a_row(advice([], estimates(little)))] == [
        "int4 x 8",
        "float16 x 8",
        "int4 x 64",
        "float16 x 64",
    ]
    same = estimates({8: 0.3, DIM: 0.3})
    assert [str(c) for c in worth_a_row(advice([], same))] == ["float16 x 64"], "at least the last"
    printed = io.StringIO()
    print_advice(told, "of some vectors", ["a note"], printed)
    text = printed.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    (row,) = (line.split() for line in text.splitlines() if line.split()[1:2] == ["8x"])
    assert row[:5] == ["32", "8x", "int4", "x", "64"]
    assert row[-2:] == ["45.0%", "65.0%"], "truncation and PCA in 32 bytes, as float16 x 16"
    grid = [line.split() for line in text.splitlines() if line.split()[1:2] == ["float16"]]
    assert ["PCA", "float16", "45.0%", "65.0%", "82.0%", "100.0%"] in grid
    assert "Note: a note" in text
