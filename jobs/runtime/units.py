"""Bytes and seconds for reading: `1.5 GB`, `2h04m`."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes in decimal units, to three digits."""
    for unit, factor in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds as `7s`, `3m05s`, `2h04m` or `3d02h`."""
    whole = round(seconds)
    for unit, letter, smaller, its_letter in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit}{letter}{whole % unit // smaller:02}{its_letter}"
    return f"{whole}s"
