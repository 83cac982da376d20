"""The answer in plain words."""

from __future__ import annotations

from collections.abc import Iterable

from adaptor.baselines import ADAPTOR
from jobs.advise.candidates import Candidate
from jobs.advise.decision import Advice, TargetCheck
from jobs.advise.refusal import show_check, unmet
from jobs.config.targets import Target
from jobs.reporting.names import METRIC_NAMES, in_text
from jobs.reporting.sentences import percent, precise_percent, proxy_sentence
from jobs.runtime.units import size
from jobs.search.proxies import benchmark

#: Shares of the main measure that are answered when no target was given.
_USUAL_SHARES = (0.9, 0.95, 0.98)


def answer(advice: Advice) -> list[str]:
    """The pair that meets the targets, or why none does; without targets the pairs that meet usual ones."""
    if not advice.targets:
        lines = _usual(advice)
    elif advice.choice is None:
        lines = unmet(advice)
    else:
        lines = _met(advice, advice.choice)
    if advice.database is not None:
        title = advice.database.title
        lines.append(f"{title} {advice.database.does}.")
        lines.append(
            f"This is an emulation of {title} in numpy, exact over all rows: its index adds losses of its own."
        )
    return lines


def _met(advice: Advice, choice: Candidate) -> list[str]:
    costs, demands = advice.costs, " and ".join(map(str, advice.targets))
    budgets = all(target.is_budget for target in advice.targets)
    kept = f"{precise_percent(advice.share(choice))} of {METRIC_NAMES[advice.main]}"
    lines = [
        f"{choice.bytes:,} bytes: {choice} keeps {kept}.",
        f"It is the {'best' if budgets else 'smallest'} that meets {demands}{_measured(advice.checks[choice])}.",
        f"{costs.vector_bytes_now / choice.bytes:.3g}x smaller: {choice.bytes:,} bytes instead of "
        f"{costs.vector_bytes_now:,} a vector, {size(costs.total_bytes(choice))} instead of "
        f"{size(costs.rows * costs.vector_bytes_now)} in all (without ids and payload).",
        f"{_others(advice, choice, budgets)}.",
        _how_to_write(choice),
    ]
    if choice.searched_bytes < choice.bytes:
        again = choice.rescored_by.encoding if choice.rescored_by else choice.encoding
        lines.insert(1, f"The 100 nearest codes are scored again by {again}.")
    return lines if budgets else [*lines, *_fewest_searched(advice, choice)]


def _fewest_searched(advice: Advice, choice: Candidate) -> list[str]:
    """Where codes can be rescored: what meets the targets with the fewest bytes that are searched, if that is other
    than the choice."""
    rescored = (c for c in advice.own if c.searched_bytes < c.bytes and all(check.met for check in advice.checks[c]))
    least = min(rescored, key=lambda c: (c.searched_bytes, c.bytes), default=choice)
    if least.searched_bytes >= choice.searched_bytes:
        return []
    kept = f"{precise_percent(advice.share(least))} of {METRIC_NAMES[advice.main]}"
    return [
        f"With less in memory: {least} keeps {kept} from {least.searched_bytes:,} bytes that are searched, and "
        f"{least.bytes - least.searched_bytes:,} beside them, read for the 100 nearest."
    ]


def _measured(checks: Iterable[TargetCheck]) -> str:
    """What was estimated of the measures that are demanded absolutely."""
    shown = [show_check(check) for check in checks if not check.target.is_budget and not check.target.relative]
    return f" ({'; '.join(shown)})" if shown else ""


def _others(advice: Advice, choice: Candidate, budgets: bool) -> str:
    """What the other methods need for the same; where only bytes are limited, what they keep in these."""
    found: dict[str, Candidate | None] = {}
    for method in reversed([method for method in advice.candidates if method != ADAPTOR]):
        targets = (Target("bytes", choice.bytes),) if budgets else advice.targets
        found[method] = advice.choose(targets, method)
    floats = next((c.encoding for method in found for c in advice.candidates[method]), "float16")
    if budgets:
        kept = [f"{in_text(m)} {_kept(advice, other)}" for m, other in found.items()]
        return f"In the same bytes as {floats}: {', '.join(kept)}"
    needs = [
        f"no smaller dim of {in_text(method)} will do"
        if other is None
        else f"{in_text(method)} needs {other.bytes:,} bytes ({other.encoding} x {other.dim})"
        for method, other in found.items()
    ]
    likeness = ", which searches like float32," if floats != "float32" else ""
    return f"For the same as {floats}{likeness or ','} {' and '.join(needs)}"


def _kept(advice: Advice, other: Candidate | None) -> str:
    return "has no dim so small" if other is None else f"keeps {precise_percent(advice.share(other))}"


def _how_to_write(choice: Candidate) -> str:
    flags = f"--output.dim {choice.dim} --output.encoding {choice.encoding}"
    if (second := choice.rescored_by) is not None:
        flags += f" --output.rescore.dim {second.dim} --output.rescore.encoding {second.encoding}"
    return f"To write it: matryoshka compress with {flags}."


def _usual(advice: Advice) -> list[str]:
    name = METRIC_NAMES[advice.main]
    lines = ["No target was given (--target 'overlap@10 >= 0.9'). Smallest whose lower end keeps"]
    for share in _USUAL_SHARES:
        found = advice.choose((Target(advice.main, share, relative=True),), ADAPTOR)
        shown = f"nothing below {advice.costs.vector_bytes_now:,} bytes"
        if found is not None:
            shown = f"{found.bytes:,} bytes, {found} ({precise_percent(advice.share(found))})"
        lines.append(f"  {percent(share)} of {name}: {shown}")
    return lines


def proxies(advice: Advice) -> list[str]:
    """How far an answer without judgments can be trusted."""
    if "ndcg@10" in advice.estimates.metrics:
        return []
    lines = ["Without judgments this rests on a proxy. " + proxy_sentence(benchmark().validity)]
    if advice.choice is not None:
        overlap = advice.estimates.of(advice.choice.column, "overlap@10").value
        if (band := benchmark().band_at(overlap)) is not None:
            lines.append(
                f"There, short vectors with an overlap@10 of {band.low:g} to {band.high:g} kept {percent(band.median)} "
                f"of nDCG@10 in the median and {percent(band.least)} at least ({band.columns} cases)."
            )
    return lines
