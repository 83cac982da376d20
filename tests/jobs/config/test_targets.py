"""What a user may demand, and what is said of a demand that makes no sense."""

from __future__ import annotations

import pytest

from adaptor.errors import InputError
from jobs.config.advise import AdviseConfig
from jobs.config.loader import load
from jobs.config.targets import Target, parse_target

FLAGS = [("source.uri", "a"), ("adaptor.uri", "b"), ("output.uri", "c")]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("overlap@10>=0.9", Target("overlap@10", 0.9)),
        (" Overlap@100 ≥ 85% ", Target("overlap@100", 0.85)),
        ("ndcg>=0.98 of original", Target("ndcg@10", 0.98, relative=True)),
        ("recall@100 >= 101% OF  ORIGINAL", Target("recall@100", 1.01, relative=True)),
        ("bytes<=200", Target("bytes", 200)),
        ("total_bytes <= 1.5 GiB", Target("total_bytes", 1.5 * 2**30)),
        ("total_bytes<=50GB", Target("total_bytes", 50e9)),
    ],
)
def test_demands_are_read(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("overlap@10", "is not a target: write MEASURE >= SHARE"),
        ("overlap@10 > 0.9", "in quotes: an open > or < is a redirection"),
        ("ndgc >= 0.9", "there is no measure 'ndgc' (did you mean ndcg?)"),
        ("speed >= 0.9", "there is no measure 'speed' (known: overlap@1, "),
        ("overlap@10 <= 0.9", "is not a target: write MEASURE >= SHARE"),
        ("bytes >= 200", "bytes <= NUMBER or total_bytes <= NUMBER"),
        ("bytes <= 0", "a vector takes at least a byte"),
        ("ndcg@10 >= 98 of original", "98 times the original is out of reach; write 0.98 or 98%"),
        ("overlap@10 >= 9", "a measure lies between 0 and 1"),
        ("overlap@10 >= 0", "a measure lies between 0 and 1"),
        ("overlap@10 >= 9kB", "is not a target: write MEASURE >= SHARE (0.9 or 90%)"),
        ("overlap@10 >= 0.9 of original", "leave 'of original' out"),
        ("bytes <= 20%", "is not a target: write"),
        ("bytes <= 20 of original", "is not a target: write"),
        ("bytes <= 2 furlongs", "is not a target: write"),
    ],
)
def test_demands_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_target(text)
    assert said in str(refused.value)


def test_several_demands_stand_in_one_flag() -> None:
    config = load(AdviseConfig, None, [*FLAGS, ("target", "overlap@10 >= 0.8, bytes <= 200")])
    assert config.targets == (Target("overlap@10", 0.8), Target("bytes", 200))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([("target", "ndgc >= 1")], "target: 'ndgc >= 1': there is no measure 'ndgc'"),
        ([("target", "ndcg@10 >= 0.9")], "target ndcg@10 >= 0.9 needs queries and qrels"),
        ([("qrels.uri", "d")], "qrels need queries"),
        ([("advising.sample_rows", "10")], "advising.sample_rows: must be greater than or equal to 100, got '10'"),
    ],
)
def test_what_does_not_go_together_is_refused(flags: list[tuple[str, str | None]], said: str) -> None:
    with pytest.raises(InputError) as refused:
        load(AdviseConfig, None, [*FLAGS, *flags])
    assert said in str(refused.value)
