"""The estimate for reading: one column for each source, and what to make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from jobs.config.plan import PlanConfig
from jobs.plan.calibration import Rates
from jobs.plan.estimate import Estimate
from jobs.runtime.plural import plural

#: A longest work item above this part of a worker's share makes the others wait at the end.
_UNEVEN = 0.1
#: Spread of the calibration from which on it is not to be trusted.
_UNSURE = 0.5


def report(config: PlanConfig, where: str, rates: Rates, estimates: Sequence[Estimate], notes: Sequence[str]) -> str:
    """All of it as text; `where` names the source."""
    cluster, machines, prices = config.cluster, config.machines, config.prices
    lines: list[tuple[str, Callable[[Estimate], str]]] = [
        ("shards", lambda found: f"{found.shards:,}"),
        ("work items", lambda found: f"{found.work_items:,}"),
        ("vectors", _with_error),
        ("input", lambda found: size(found.input_bytes)),
        ("output", lambda found: size(found.output_bytes)),
        ("CPU time", lambda found: duration(found.cpu_hours * 3600)),
        ("wall time", lambda found: duration(found.wall_seconds)),
        ("bound by", lambda found: found.bound),
    ]
    if any(found.requests.list for found in estimates):
        lines += [
            ("LIST requests", lambda found: f"{found.requests.list:,}"),
            ("GET and HEAD requests", lambda found: f"{found.requests.get:,}"),
            ("PUT requests", lambda found: f"{found.requests.put:,}"),
        ]
    if any(estimates[0].costs.values()):
        parts = ("machines", "requests", "transfer", "total")
        lines += [(f"{prices.currency}, {part}", _cost(part)) for part in parts]
        lines.append((f"{prices.currency}, output per month", _cost("storage_month")))
    cells = [[name, *(cell(found) for found in estimates)] for name, cell in lines]
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    table = [
        "  ".join([f"{row[0]:{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]
    gbit = estimates[0].network_gbit
    head = [
        f"{where}: {plural(cluster.workers, 'workers')} of {plural(cluster.cpus_per_worker, 'cores')} on "
        f"{plural(machines.count, 'machines')}{f' with {gbit:g} Gbit/s' if gbit else ''}",
        f"measured here, {plural(rates.processes, 'processes')} at once: {rates.gb_cpu_seconds:.2f} CPU-seconds and "
        f"{rates.gb_seconds:.2f} s per GB and worker, {rates.item_seconds * 1e3:.0f} ms per work item "
        f"(spread {rates.spread:.0%})",
    ]
    return "\n".join([*head, "", *table, *(f"note: {note}" for note in notes)]) + "\n"


def advice(config: PlanConfig, rates: Rates, estimates: Sequence[Estimate], unreadable: int) -> list[str]:
    """What the numbers call for."""
    notes = []
    if unreadable:
        notes.append(f"unreadable and left out: {unreadable} of the looked-at shards; compress will name them")
    for found in estimates:
        long = found.wall_seconds > 2 * config.machines.startup_seconds  # otherwise it is start-up more than work
        if found.longest_share > _UNEVEN and found.work_items > 1 and long:
            notes.append(
                f"the longest of {found.work_items:,} work items is {found.longest_share:.0%} of a worker's share: "
                "use fewer workers, or lower reading.split_bytes where shards have several row groups"
            )
    if rates.spread > _UNSURE:
        notes.append(f"the measurements differ by {rates.spread:.0%}: repeat them while this machine is otherwise idle")
    if config.cluster.gpus_per_worker:
        notes.append("measured without a GPU: with one the products cost less, reading and writing the same")
    busy = rates.gb_cpu_seconds / (rates.gb_seconds * config.cluster.cpus_per_worker)
    if busy < 0.7:
        notes.append(
            f"workers were busy for {busy:.0%} of the time here and waited otherwise, for the source or for cores that "
            "others use: wall time is too high if this machine is not like those of the cluster"
        )
    return notes


def summary(rates: Rates, estimates: Sequence[Estimate], notes: Sequence[str]) -> dict[str, Any]:
    """The fields of summary.json."""
    return {
        "rates": asdict(rates),
        "estimates": [asdict(found) for found in estimates],
        "notes": list(notes),
    }


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever reads best."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86_400:.3g} days"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for limit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= limit:
            return f"{count / limit:.3g} {name}"
    return f"{count:.0f} bytes"


def _with_error(found: Estimate) -> str:
    exact = f"{found.rows:,.0f}"
    return exact if not found.rows_error else f"{found.rows:,.0f} ± {found.rows_error:,.0f}"


def _cost(key: str) -> Callable[[Estimate], str]:
    return lambda found: f"{found.costs[key]:,.2f}"
