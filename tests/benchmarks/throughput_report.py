"""Records of the throughput benchmark, and the table made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Record:
    """One run. `seconds` and `cpu_seconds` are those of the whole command; `startup_seconds` those of the same variant
    on the start-up source in the same repeat. `case` is `<where>-<vector type>-<startup or full>`."""

    case: str
    variant: str
    rows: int
    input_dim: int
    dim: int
    input_bytes: int
    seconds: float
    startup_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    repeat: int


@dataclass(frozen=True)
class _Line:
    """One variant: medians, and the extremes of the throughput; MB and GB are decimal."""

    variant: str
    startup_seconds: float
    mb_per_second: float
    slowest: float
    fastest: float
    cpu_per_gb: float
    startup_cpu: float
    peak_rss_mb: float


def plain(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The records as JSON takes them."""
    return [asdict(record) for record in records]


def table(records: Sequence[Record], base: str) -> str:
    """The table for people: steady state beside start-up, and how each compares with the variant `base`."""
    if not records:
        return "nothing was measured"
    full = [record for record in records if not record.case.endswith("-startup")]
    lines = [_line(records, variant) for variant in dict.fromkeys(record.variant for record in full)]
    against = next((line for line in lines if line.variant == base), lines[0])
    first = full[0]
    head = (
        f"{first.case.removesuffix('-full')}: {first.rows:,} x {first.input_dim} -> {first.dim}, "
        f"{first.input_bytes / 1e9:.2f} GB, {1 + max(record.repeat for record in records)} repeats"
    )
    columns: list[tuple[str, Callable[[_Line], str]]] = [
        ("variant", lambda line: line.variant),
        ("MB/s", lambda line: f"{line.mb_per_second:.0f}"),
        ("(from - to)", lambda line: f"({line.slowest:.0f} - {line.fastest:.0f})"),
        (f"of {against.variant}", lambda line: f"{line.mb_per_second / against.mb_per_second:.2f}"),
        ("CPU-s/GB", lambda line: f"{line.cpu_per_gb:.2f}"),
        (f"of {against.variant}", lambda line: f"{line.cpu_per_gb / against.cpu_per_gb:.2f}"),
        ("start-up s", lambda line: f"{line.startup_seconds:.1f}"),
        ("start-up CPU-s", lambda line: f"{line.startup_cpu:.1f}"),
        ("peak RSS MB", lambda line: f"{line.peak_rss_mb:.0f}"),
    ]
    rows = [[name for name, _ in columns], *([cell(line) for _, cell in columns] for line in lines)]
    dims = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    return "\n".join([head, *(_aligned(row, dims) for row in rows)])


def _line(records: Sequence[Record], variant: str) -> _Line:
    ours = [record for record in records if record.variant == variant]
    startup = [record for record in ours if record.case.endswith("-startup")]
    full = [record for record in ours if not record.case.endswith("-startup")]
    seconds = median(record.seconds for record in startup)
    cpu = median(record.cpu_seconds for record in startup)
    size = (full[0].input_bytes - startup[0].input_bytes) / 1e6
    # Never less than a tenth of the run: on a source that is too small the difference is noise.
    steady = sorted(size / max(record.seconds - seconds, record.seconds / 10) for record in full)
    return _Line(
        variant=variant,
        startup_seconds=seconds,
        mb_per_second=median(steady),
        slowest=steady[0],
        fastest=steady[-1],
        cpu_per_gb=median((record.cpu_seconds - cpu) / size * 1e3 for record in full),
        startup_cpu=cpu,
        peak_rss_mb=median(record.peak_rss_bytes for record in full) / 1e6,
    )


def _aligned(row: Sequence[str], dims: Sequence[int]) -> str:
    cells = [
        f"{cell:{dim}}" if not index else f"{cell:>{dim}}"
        for index, (cell, dim) in enumerate(zip(row, dims, strict=True))
    ]
    return "  ".join(cells)
