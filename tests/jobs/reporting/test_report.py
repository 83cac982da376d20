"""The report and the table: the words agree with the numbers, the page stands alone, its bytes are repeatable."""

import io
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from adaptor.baselines import Column
from jobs.reporting.byte_curves import byte_curves
from jobs.reporting.report import draw_byte_curves, render
from jobs.reporting.results import Facts, Results
from jobs.reporting.results_table import print_results
from jobs.reporting.sentences import headline, verdicts
from jobs.search.scoring import METRICS, RETRIEVAL, Comparison, MeasureEstimate, MetricRecord, compare, make_records

DIM = 384
CURVES = {"truncation": 0.75, "pca": 0.87, "adaptor": 0.91}
#: Bits of a number and share lost by the adaptor's codes, by encoding.
CODES = {"float16": (16, 0.0), "int8": (8, 0.01), "int2": (2, 0.04)}


def facts(notes: tuple[str, ...] = (), judged: int | None = 300) -> Facts:
    return Facts(
        set="sci<fact>",
        rows=5183,
        left_out_rows=0,
        queries=300,
        judged_queries=judged,
        input_dim=DIM,
        metric="cosine",
        adaptor_id="ab" * 32,
        architecture="orthogonal",
        sampled_queries=judged is None,
        bootstrap=1000,
        notes=notes,
    )


def results(
    dims: tuple[int, ...] = (16, 32, 64, 128, DIM),
    curves: Mapping[str, float] = CURVES,
    judged: bool = True,
    codes: Mapping[str, tuple[int, float]] = CODES,
) -> Results:
    """Every measure of a method at 64 dimensions is its number in `curves` times the original's; codes lose some."""
    metrics = [metric for metric in METRICS if judged or metric not in RETRIEVAL]
    spread = np.linspace(-0.01, 0.01, 40)

    def numbers(share: float) -> dict[str, np.ndarray]:
        return {m: (1 - share if m.endswith("_distance") else 0.6 * share) + spread for m in metrics}

    scores = {Column("original", DIM): numbers(1.0)}
    for method, share in curves.items():
        for dim in dims:
            scores[Column(method, dim)] = numbers(min(share * (dim / 64) ** 0.1, 1.0))
    for encoding, (_, lost) in codes.items():
        for dim in (dim for dim in dims[1:] if dim % 8 == 0):
            scores[Column("adaptor", dim, encoding)] = numbers(min(curves["adaptor"] * (dim / 64) ** 0.1, 1.0) - lost)
    main = "ndcg@10" if judged else "overlap@10"

    def bytes_of(column: Column) -> int:
        """As codes are packed."""
        return column.dim * {"float32": 32, **{name: bits for name, (bits, _) in codes.items()}}[column.encoding] // 8

    return Results(make_records("sci<fact>", scores, 100, 0, bytes_of), compare(scores, main, "adaptor", 100, 0))


def test_the_headline_is_about_the_fewest_bytes_that_keep_most() -> None:
    said = headline(results())  # int2 x 384 keeps 96%, int8 x 128 97%
    assert said.sentence == (
        "In 256 bytes a vector (6x smaller than float32: float16 x 128) the adaptor keeps 98% of nDCG@10; "
        "in the same bytes as float16: PCA 93%, truncation 80%."
    )
    assert said.where == "256 bytes"
    assert list(said.shares) == ["adaptor", "pca", "truncation"]
    low = headline(results((16, 32, 64), codes={"int2": (2, 0.0)}))  # nothing keeps 98%: the first to keep 90%
    assert low.sentence.startswith("In 16 bytes a vector (96x smaller than float32: int2 x 64) the adaptor keeps 91%")
    assert "as float16 no other method was measured so small" in low.sentence


def test_without_encodings_the_headline_is_about_the_smallest_dim_that_keeps_90_percent() -> None:
    said = headline(results(codes={}))
    assert said.where == "64 dimensions"
    assert said.sentence == (
        "At 64 of 384 dimensions (6x smaller) the adaptor keeps 91% of nDCG@10; truncation 75%, PCA 87%."
    )
    assert headline(results(curves={"pca": 0.2, "adaptor": 0.3}, codes={})).where == "128 dimensions"


def test_without_judgments_the_headline_is_about_neighbours() -> None:
    sentence = headline(results(judged=False, codes={})).sentence
    assert "the adaptor finds 91% of the true ten nearest neighbours; truncation 75%, PCA 87%." in sentence


def test_nothing_is_rounded_up_to_100_percent() -> None:
    assert "adaptor keeps 99% of" in headline(results((64, DIM), {"adaptor": 0.9999}, codes={})).sentence


def test_a_measure_that_is_zero_everywhere_is_said_to_be() -> None:
    zero = MeasureEstimate(0.0, 0.0, 0.0)._asdict()
    records = [
        MetricRecord(set="s", method=m, dim=dim, encoding="float32", bytes=4 * dim, metric="ndcg@10", n=3, **zero)
        for m, dim in (("original", 8), ("adaptor", 4))
    ]
    assert "score 0 in nDCG@10" in headline(Results(records, [])).sentence


def test_verdicts_follow_the_paired_intervals() -> None:
    differences = [(16, 0.02, 0.01, 0.03), (32, 0.0, -0.01, 0.01), (64, -0.02, -0.03, -0.01)]
    comparisons = [
        Comparison(
            metric="ndcg@10", dim=dim, method="adaptor", against="pca", difference=mean, ci_low=low, ci_high=high
        )
        for dim, mean, low, high in differences
    ]
    (sentence,) = verdicts(Results(results((16, 32, 64)).records, comparisons))
    assert sentence == "Against PCA: better at 16; worse at 64; no clear difference at 32."


@pytest.fixture(scope="module")
def page() -> str:
    """A page with judgments and a note; drawing one takes seconds on a busy machine."""
    return render(facts(("3 rows are left out: 3 <NaN>",)), results())


def test_the_page_stands_alone_and_escapes_what_it_shows(page: str) -> None:
    assert not re.search(r"""(src|href)=["'](?!#)|@import|url\((?!#)|<script|<link""", page)
    assert "sci&lt;fact&gt;" in page
    assert "sci<fact>" not in page
    assert "3 &lt;NaN&gt;" in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"#0[1-4a]0[1-4a]0[1-9]", page), "a stand-in colour was left in"


def test_the_same_numbers_make_the_same_bytes(page: str) -> None:
    assert render(facts(("3 rows are left out: 3 <NaN>",)), results()) == page


def test_the_picture_is_an_svg_file_with_bytes_a_vector() -> None:
    drawn = draw_byte_curves(byte_curves(results((16, 32, 64, 128))))
    picture = ElementTree.fromstring(drawn)  # noqa: S314 (our own drawing)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    words = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"8", "64", "256", "bytes a vector", "nDCG@10", "Full dimension"} <= words
    assert {"Adaptor, int2", "Adaptor, int8", "Adaptor, float16", "PCA, float16", "Truncation, float16"} <= words
    for name in ("--int2", "--int8", "--adaptor", "--pca", "--truncation"):
        assert f"var({name})" in drawn
        assert len(re.findall(rf"{name}: #", drawn)) == 2, "a colour for each scheme"


def test_curves_count_the_bytes_of_what_is_stored() -> None:
    curves = byte_curves(results((16, 32, 64))).curves
    assert {name: [point.bytes for point in points] for name, points in curves.items()} == {
        "truncation": [32, 64, 128],
        "pca": [32, 64, 128],
        "float16": [64, 128],
        "int8": [32, 64],
        "int2": [8, 16],
    }
    plain = byte_curves(results((16, 32), codes={}))
    assert [point.bytes for point in plain.curves["float16"]] == [32, 64], "float16 searches like float32"
    assert plain.in_bytes("pca", 63) == plain.curves["pca"][0]
    assert plain.in_bytes("pca", 31) is None


class Outline(HTMLParser):
    """Collects ids and checks that elements close in order."""

    VOID = frozenset({"meta", "path", "circle", "rect", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_its_drawings_are_described(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    drawings = re.findall(r"<svg[^>]*role=\"img\".*?</svg>", page, re.DOTALL)
    assert len(drawings) == len(METRICS) + 4
    for drawing in drawings:
        svg = ElementTree.fromstring(drawing)  # noqa: S314 - we made it
        title, desc = svg.find("title"), svg.find("desc")
        assert title is not None
        assert desc is not None
        assert title.text
        assert desc.text
        if "against dim" in title.text:
            assert "Adaptor by dim: 16: 0." in desc.text
        elif "against bytes" in title.text:
            assert "Adaptor, int2 by bytes: 8: 0." in desc.text
        else:
            assert title.text.startswith("nDCG@10 against ")
            assert "Adaptor at 128: 0." in desc.text
    for name in re.findall(r'(?:url\(|href=")#([\w-]+)', page):
        assert name in outline.ids


def test_every_number_of_the_records_is_in_the_table(page: str) -> None:
    for record in results().records:
        assert f"{record.value:.3f}" in page
        if record.method != "original":
            assert f"{record.ci_low:.3f} to {record.ci_high:.3f}" in page


@pytest.mark.parametrize("dims", [(DIM,), (16,), (1, 2), (8, 16, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384)])
def test_any_ladder_of_dims_can_be_shown(dims: tuple[int, ...]) -> None:
    for judged in (True, False):
        given = results(dims, judged=judged)
        assert "<table>" in render(facts(judged=300 if judged else None), given)
        printed = io.StringIO()
        print_results(given, facts(), printed)
        assert all(f" {dim}" in printed.getvalue() for dim in dims)


def test_the_table_is_plain_and_fits_100_columns() -> None:
    printed = io.StringIO()
    given = results((16, 32, 64, 96, 128, 192, 256, 320, DIM))
    print_results(given, facts(), printed)
    text = printed.getvalue()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert headline(given).sentence in " ".join(text.split())
    rows = [line.split() for line in text.splitlines()]
    (codes_row,) = (row for row in rows if row[:5] == ["48", "32x", "int2", "x", "192"])
    assert codes_row[-3:] == ["96%", "65%", "76%"], "the adaptor; truncation and PCA as float16 x 32, which is less"
    values = [f"{given.value('adaptor', dim, 'ndcg@10'):.3f}" for dim in given.dims]
    assert ["Adaptor", *values] in rows
    assert any(row[:2] == ["95%", "from"] for row in rows)
    assert "…" not in text
