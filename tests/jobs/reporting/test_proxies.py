"""What the report and advise say of the validity of proxies: of this run, or else of the shipped benchmark."""

from __future__ import annotations

import re

from jobs.reporting.report import render
from jobs.reporting.sentences import proxy_sentence
from jobs.search.proxies import PROXIES, ProxyValidity, benchmark
from tests.jobs.reporting.test_report import facts, results


def validity(name: str, rank: float, same_order: float | None, pairs: int) -> ProxyValidity:
    return ProxyValidity(
        set=name,
        proxy="overlap@10",
        rank_correlation=rank,
        linear_correlation=0.9,
        same_order=same_order,
        pairs=pairs,
        columns=21,
    )


def test_the_sentence_names_the_sets_the_correlation_and_the_pairs() -> None:
    one = [validity("a", 0.97, 0.75, 8)]
    assert proxy_sentence(one) == (
        "On these queries, overlap@10 ranks methods and dims like nDCG@10 (rank correlation 0.97); "
        "of two methods at one dim it prefers the better one in 6 of 8 cases."
    )
    two = [*one, validity("b", 0.9, None, 0)]
    assert proxy_sentence(two).startswith("On 2 public sets with judgments, overlap@10")
    assert "0.90 to 0.97" in proxy_sentence(two)


def test_the_report_shows_this_run_or_else_the_benchmark() -> None:
    own = render(facts(), results())
    assert "On these queries, overlap@10" in own
    drawn = re.findall(r'id="proxy-([\w-]+)-title"', own)
    assert drawn == ["overlap-10", "topk_distance", "pairwise_distance"]
    assert benchmark().source not in own
    shipped = render(facts(judged=None), results(judged=False))
    assert "public sets with judgments" in shipped
    assert benchmark().source in shipped
    assert "proxy-overlap-10" not in shipped
    assert len(re.findall(r"<td>\d+ of \d+</td>", shipped)) == len(PROXIES)
    assert shipped.count(" to ") > len(benchmark().overlap_bands)
    assert all(f'<th scope="row">{band.low:g} to {band.high:g}</th>' in shipped for band in benchmark().overlap_bands)


def test_the_page_speaks_the_language_of_the_configuration() -> None:
    for page in (render(facts(), results()), render(facts(judged=None), results(judged=False))):
        text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
        assert not re.search(r"\b(widths?|stores?|anchors?|worth|carried)\b", text)
