"""The facts as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.runtime.plural import plural
from jobs.runtime.units import size

_WIDTH, _LABEL = 100, 12
#: Length of the mean from which on the vectors share one direction more than they differ.
_OFF_CENTRE = 0.3


def report(facts: Mapping[str, Any]) -> str:
    """All of it, at most 100 columns."""
    about = "" if facts["rows_are_exact"] else "about "
    snapshot = f", snapshot {facts['snapshot']}" if facts["snapshot"] is not None else ""
    title = (
        f"{facts['source']}: {facts['format']}{snapshot}, {plural(facts['shards'], 'shards')}, {size(facts['bytes'])}, "
        f"{about}{facts['rows']:,} rows of {facts['dim']:,} numbers"
    )
    lines = textwrap.wrap(title, _WIDTH, break_long_words=False, break_on_hyphens=False)
    for label, text in (*_store(facts), *_vectors(facts)):
        lines += textwrap.wrap(
            f"{label:{_LABEL}}{text}",
            _WIDTH,
            subsequent_indent=" " * _LABEL,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def _store(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for note in facts["notes"]:
        yield "note", note
    for problem in facts["unreadable_shards"]:
        yield "unreadable", problem
    yield "columns", ", ".join(f"{name} {kind}" for name, kind in facts["columns"].items())
    looked_at = facts["looked_at"]
    yield "looked at", f"{plural(looked_at['rows'], 'rows')} of {plural(looked_at['shards'], 'shards')}"
    ids = facts["ids"]
    counts = {
        "null": ids["null"],
        "doubled": ids["doubled"],
        "like another but for case or blanks": ids["nearly_doubled"],
    }
    yield "ids", f"{ids['type']}; {_counted(counts) or 'no null and none doubled among these'}"
    yield "unusable", _counted(facts["unusable_vectors"]) or "none of these vectors"


def _vectors(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "lengths" not in facts:
        return
    lengths, dims = facts["lengths"], facts["dimensions"]
    unit = lengths["unit_share"]
    of_them = "all of them 1" if unit == 1 else "none of them 1" if not unit else f"{unit:.1%} of them 1: two kinds"
    yield "lengths", f"{lengths['min']:.4g} to {lengths['max']:.4g}, median {lengths['median']:.4g}; {of_them}"
    if dims["constant"]:
        yield "dead dims", f"{len(dims['constant']):,} never change: {_some(dims['constant'])}"
    if dims["dominant"]:
        yield "dominant", f"dims that hold most of the squares: {_some(dims['dominant'])}"
    yield "duplicates", f"{plural(facts['equal_vectors'], 'rows')} with a vector that came before"
    off = facts["off_centre"]
    yield (
        "centre",
        f"the mean of the directions has length {off:.2f}"
        + (": all vectors share one direction, which cosines are mostly made of" if off > _OFF_CENTRE else ""),
    )
    spaces = facts["two_spaces"]
    yield (
        "spaces",
        (
            f"TWO are suspected: {spaces['share']:.0%} of the rows vary along directions of their own, as vectors of "
            "another model do: one adaptor cannot serve both"
            if spaces["suspected"]
            else "one, as far as this sample tells"
        ),
    )
    spectrum = facts["spectrum"]
    shares = ", ".join(f"{dim}: {share:.0%}" for dim, share in list(spectrum["share_of_squares"].items())[:-1])
    yield (
        "spectrum",
        (
            f"90% of the squares lie in {plural(spectrum['directions_for_90_percent'], 'directions')} ({shares}); the "
            f"spread is that of {spectrum['participation_ratio']:.0f} equal directions"
        ),
    )
    if facts["trial"] is not None:
        yield from _worth_trying(facts["trial"])


def _worth_trying(trial: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kept = ", ".join(f"{dim}: {part:.2f}" for dim, part in trial["kept"].items())
    yield "PCA keeps", f"of the 10 nearest within the sample, by dim: {kept}"
    pairs = (
        f"{pair['encoding']} x {pair['dim']} ({pair['bytes']:,} B): {pair['kept']:.2f}"
        for pair in trial["worth_trying"]
    )
    yield (
        "try",
        (
            f"{', '.join(pairs) or 'no dim keeps half of them'} (a sample flatters, a fit gains: matryoshka "
            "advise tells, after matryoshka fit)"
        ),
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + (" …" if len(numbers) > 10 else "")
