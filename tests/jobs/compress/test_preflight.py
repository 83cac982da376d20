"""compress starts only above the demanded minimum, by what the artefact says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from adaptor.artefact import build
from adaptor.errors import InputError
from jobs.compress.preflight import check_quality
from jobs.config.compress import CompressConfig
from jobs.config.loader import load
from tests.jobs.compress.workplace import Workplace
from tests.jobs.evaluate.inputs import save_adaptor

#: Dim → overlap@10 and overlap@100; the interval is ± 0.02.
KEPT = {4: (0.50, 0.40), 8: (0.82, 0.70), 12: (1.0, 1.0)}


def records(method: str = "adaptor", lower: float = 0.0) -> list[dict[str, Any]]:
    return [
        {"method": method, "dim": dim, "metric": name, "value": value - lower}
        | {
            "ci_low": round(value - lower - 0.02, 6),
            "ci_high": round(value - lower + 0.02, 6),
            "n": 500,
            "corpus": 5000,
        }
        for dim, values in KEPT.items()
        for name, value in zip(("overlap@10", "overlap@100"), values, strict=True)
    ]


def with_evidence(workplace: Workplace, evidence: list[dict[str, Any]]) -> None:
    plain = workplace.adaptor
    kept = {k: v for k, v in plain.document.items() if k not in ("adaptor_id", "checksum") and "sha256" not in k}
    adaptor = build({**kept, "dims": list(KEPT), "evidence": evidence}, plain.tensors, plain.rotation)
    save_adaptor(adaptor, workplace.root / "adaptor")
    workplace.__dict__["adaptor"] = adaptor


@pytest.fixture
def judged(workplace: Workplace) -> Workplace:
    """A workplace whose adaptor carries evidence; other methods' records stand beside it, the better ones too."""
    with_evidence(workplace, [*records("pca", lower=-0.3), *records(), *records("truncation", lower=0.3)])
    return workplace


def check(workplace: Workplace, dim: int, **minimum: float) -> None:
    named = {name.replace("_", "@"): least for name, least in minimum.items()}
    config = workplace.config(output={"dim": dim}, quality={"minimum": named})
    check_quality(config, workplace.adaptor)


def refusal(workplace: Workplace, dim: int, **minimum: float) -> str:
    with pytest.raises(InputError) as refused:
        check(workplace, dim, **minimum)
    return str(refused.value)


@pytest.mark.parametrize(
    ("dim", "minimum"),
    [
        (4, {}),
        (4, {"overlap_10": 0.48}),
        (8, {"overlap_10": 0.80}),
        (11, {"overlap_10": 0.80, "overlap_100": 0.68}),
        (12, {"overlap_10": 0.98}),
    ],
)
def test_what_the_evidence_shows_may_start(judged: Workplace, dim: int, minimum: dict[str, float]) -> None:
    check(judged, dim, **minimum)


def test_the_lower_end_of_the_interval_counts(judged: Workplace) -> None:
    message = refusal(judged, 8, overlap_10=0.81)
    assert "asks for overlap@10 of at least 0.81, but at dim 8 the adaptor in" in message
    assert "keeps overlap@10 0.820 [0.800, 0.840] on held-out rows, and the lower end" in message
    assert "set output.dim: 12, the smallest trained dim that meets it, or lower quality.minimum" in message


def test_a_width_between_is_judged_by_the_next_smaller_one(judged: Workplace) -> None:
    message = refusal(judged, 7, overlap_10=0.6)
    assert "at dim 7 (not trained: judged by the next smaller trained dim, 4)" in message
    assert "keeps overlap@10 0.500" in message
    assert "set output.dim: 8," in message


def test_each_encoding_is_judged_by_its_own_evidence(workplace: Workplace) -> None:
    coded = [{**record, "encoding": "int8"} for record in records(lower=0.1)]
    with_evidence(workplace, [*records(), *coded])
    for encoding, least in {"float32": 0.80, "float16": 0.80, "int8": 0.70, "uint8": 0.70}.items():
        for minimum, may_start in ((least, True), (least + 0.01, False)):
            output = {"dim": 8, "encoding": encoding}
            config = workplace.config(output=output, quality={"minimum": {"overlap@10": minimum}})
            if may_start:
                check_quality(config, workplace.adaptor)
            else:
                with pytest.raises(InputError, match=r"at dim 8( in \w+)? the adaptor in"):
                    check_quality(config, workplace.adaptor)
    nothing = workplace.config(output={"dim": 8, "encoding": "int4"}, quality={"minimum": {"overlap@10": 0.1}})
    with pytest.raises(InputError, match="carries no evidence of that in int4: fit again"):
        check_quality(nothing, workplace.adaptor)


def test_every_measure_must_be_met_and_the_missed_ones_are_named(judged: Workplace) -> None:
    message = refusal(judged, 8, overlap_10=0.8, overlap_100=0.9)
    assert "asks for overlap@10 of at least 0.8 and overlap@100 of at least 0.9" in message
    assert "keeps overlap@100 0.700 [0.680, 0.720] on" in message
    assert "set output.dim: 12" in message


def test_a_minimum_that_no_width_meets(judged: Workplace) -> None:
    message = refusal(judged, 12, overlap_10=0.99)
    assert "no trained dim is known to meet it: fit with wider adaptor.dims, or lower" in message


def test_below_all_trained_widths_nothing_is_known(judged: Workplace) -> None:
    message = refusal(judged, 3, overlap_10=0.1)
    assert "nothing is known of dim 3, which is below all trained dims (4, 8, 12): set output.dim: 4" in message


@pytest.mark.parametrize("evidence", [[], records("pca"), [{k: v for k, v in records()[0].items() if k != "ci_low"}]])
def test_without_evidence_it_refuses(workplace: Workplace, evidence: list[dict[str, Any]]) -> None:
    with_evidence(workplace, evidence)
    assert "carries no evidence of that: fit again with this version" in refusal(workplace, 8, overlap_10=0.5)
    check(workplace, 8)


def test_compress_refuses_before_it_writes_anything(judged: Workplace) -> None:
    with pytest.raises(InputError, match="minimum asks for"):
        judged.compress(output={"dim": 4}, quality={"minimum": {"overlap@10": 0.9}})
    assert not (judged.root / "output").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("overlap@11", "0.8", "quality.minimum.overlap@11: the name must be one of: overlap@10, overlap@100 (did you"),
        ("ndcg@10", "0.8", "quality.minimum.ndcg@10: the name must be one of: overlap@10, overlap@100; got '0.8'"),
        ("overlap@10", "80", "quality.minimum.overlap@10: must be less than or equal to 1, got '80' (command line)"),
        ("overlap@10", "high", "quality.minimum.overlap@10: must be a number, got 'high'"),
    ],
)
def test_a_minimum_that_cannot_be_is_refused(name: str, value: str, said: str) -> None:
    flags = [("source.uri", "a"), ("adaptor.uri", "b"), ("output.dim", "8"), ("output.uri", "c")]
    with pytest.raises(InputError) as refused:
        load(CompressConfig, None, [*flags, (f"quality.minimum.{name}", value)])
    assert said in str(refused.value)
