"""The estimate as text: one column for each source, and what to make of it."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.config.plan import PlanConfig
from jobs.plan.calibration import Rates
from jobs.plan.estimate import Estimate
from jobs.runtime.plural import plural
from jobs.runtime.units import duration, size

#: A longest work item above this part of a worker's share makes the others wait at the end.
_UNEVEN = 0.1
#: Spread of the calibration from which on it is not to be trusted.
_UNSURE = 0.5
#: Part of the time that a worker is busy; below it something held it up.
_BUSY = 0.7


def report(config: PlanConfig, title: str, rates: Rates, estimates: Sequence[Estimate], notes: Sequence[str]) -> str:
    """All of it as text; `title` names the source."""
    cluster, gbit = config.cluster, estimates[0].network_gbit
    columns = [_column(estimate, config.prices.currency) for estimate in estimates]
    label_width = max(map(len, columns[0]))
    cell_width = 2 + max(len(cell) for column in columns for cell in column.values())
    lines = [
        f"{title}: {plural(cluster.max_workers, 'workers')} of {plural(cluster.cpus_per_worker, 'cores')} on "
        f"{plural(config.machines.count, 'machines')}{f' with {gbit:g} Gbit/s' if gbit else ''}",
        f"measured here, {plural(rates.processes, 'processes')} at once: {rates.gb_cpu_seconds:.2f} CPU-seconds and "
        f"{rates.gb_seconds:.2f} s per GB and worker, {rates.item_seconds * 1e3:.0f} ms per work item "
        f"(spread {rates.spread:.0%})",
        "",
    ]
    for label in columns[0]:
        lines.append(f"{label:{label_width}}" + "".join(f"{column[label]:>{cell_width}}" for column in columns))
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])


def _column(estimate: Estimate, currency: str) -> dict[str, str]:
    """The cells of one source by label."""
    requests = estimate.requests
    cells = {
        "shards": f"{estimate.shards:,}",
        "work items": f"{estimate.work_items:,}",
        "vectors": f"{estimate.rows:,.0f}" + (f" ± {estimate.rows_error:,.0f}" if estimate.rows_error else ""),
        "input": size(estimate.input_bytes),
        "output": size(estimate.output_bytes),
        "CPU time": duration(estimate.cpu_hours * 3600),
        "wall time": duration(estimate.wall_seconds),
        "bound by": estimate.bound,
    }
    if requests.list:
        cells["LIST requests"] = f"{requests.list:,}"
        cells["GET and HEAD requests"] = f"{requests.get:,}"
        cells["PUT requests"] = f"{requests.put:,}"
    if any(estimate.costs.values()):
        cells |= {f"{currency}, {part.replace('_', ' ')}": f"{cost:,.2f}" for part, cost in estimate.costs.items()}
    return cells


def make_notes(config: PlanConfig, rates: Rates, estimates: Sequence[Estimate], unreadable: int) -> list[str]:
    """What the numbers call for."""
    notes = []
    if unreadable:
        notes.append(f"unreadable and left out: {unreadable} of the looked-at shards; compress will name them")
    for estimate in estimates:
        long = estimate.wall_seconds > 2 * config.machines.startup_seconds  # otherwise it is start-up more than work
        if estimate.longest_share > _UNEVEN and estimate.work_items > 1 and long:
            notes.append(
                f"the longest of {estimate.work_items:,} work items is {estimate.longest_share:.0%} of a worker's "
                "share: use fewer workers, or lower reading.split_bytes where shards have several row groups"
            )
    if rates.spread > _UNSURE:
        notes.append(f"the measurements differ by {rates.spread:.0%}: repeat them while this machine is otherwise idle")
    if config.cluster.gpus_per_worker:
        notes.append("measured without a GPU: with one the products cost less, reading and writing the same")
    busy = rates.gb_cpu_seconds / (rates.gb_seconds * config.cluster.cpus_per_worker)
    if busy < _BUSY:
        notes.append(
            f"workers were busy for {busy:.0%} of the time here and waited otherwise, for the source or for cores that "
            "others use: wall time is too high if this machine is not like those of the cluster"
        )
    return notes
