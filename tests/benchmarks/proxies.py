"""Make the shipped figures on the validity of label-free proxies, from measurements with judgments.

    python -m tests.benchmarks.proxies --source "…" METRICS.json [METRICS.json …]

Takes metrics.json files of `matryoshka evaluate`, or the JSON of tests/benchmarks/quality.py (the same records, plus
`seed`, over which they are averaged), and writes jobs/search/proxies.json. Prints the table.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from adaptor.baselines import ORIGINAL, Column
from jobs.search.proxies import BENCHMARK_FILE, TRUTH, OverlapBand, proxy_validity
from jobs.search.scoring import MeasureEstimate, MetricRecord

_Key = tuple[str, str, int, str]
#: Dims are compared, not codes; older files do not name it.
_ENCODING = "float32"
_EDGES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def read(files: Sequence[Path], without: Collection[str]) -> dict[str, list[MetricRecord]]:
    """Records by set, averaged over seeds. Where a set was also measured without judgments (rows of the source as
    queries), the proxies are those of that run: it is the situation that the figures are to speak about."""
    judged, label_free = (defaultdict[_Key, list[float]](list) for _ in range(2))
    for file in files:
        records = json.loads(file.read_text())
        values = judged if any(record["metric"] == TRUTH for record in records) else label_free
        for record in records:
            if record["method"] in without or record.get("encoding", _ENCODING) != _ENCODING:
                continue
            values[record["set"], record["method"], record["dim"], record["metric"]].append(record["value"])
    by_set: dict[str, list[MetricRecord]] = defaultdict(list)
    for (name, method, dim, metric), numbers in {**judged, **label_free}.items():
        mean = float(np.mean(numbers))
        estimate = MeasureEstimate(mean, mean, mean)._asdict()
        column = Column(method, dim)._asdict()
        record = MetricRecord(set=name, bytes=4 * dim, metric=metric, n=len(numbers), **column, **estimate)
        by_set[name].append(record)
    return by_set


def overlap_bands(by_set: dict[str, list[MetricRecord]]) -> list[OverlapBand]:
    """What columns of all sets kept of nDCG@10, by their overlap@10."""
    points = []
    for records in by_set.values():
        value = {(r.method, r.dim, r.metric): r.value for r in records}
        full = next(r.dim for r in records if r.method == ORIGINAL)
        original = value[ORIGINAL, full, TRUTH]
        points += [
            (value[m, w, "overlap@10"], number / original)
            for (m, w, metric), number in value.items()
            if metric == TRUTH and m != ORIGINAL and w < full
        ]
    bands = []
    for low, high in pairwise(_EDGES):
        shares = [share for overlap, share in points if low <= overlap < high]
        if shares:
            least, median = round(min(shares), 4), round(float(np.median(shares)), 4)
            bands.append(OverlapBand(low=low, high=high, least=least, median=median, columns=len(shares)))
    return bands


def main() -> None:
    """Read, compute, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="what was measured, for the reader of a report")
    parser.add_argument("--without", nargs="*", default=[], help="methods to leave out: those that learn from labels")
    parser.add_argument("files", nargs="+", type=Path)
    given = parser.parse_args()
    by_set = read(given.files, given.without)
    validity = [v for records in by_set.values() for v in proxy_validity(records)]
    bands = overlap_bands(by_set)
    for v in validity:
        order = "-" if v.same_order is None else f"{v.same_order:.2f} of {v.pairs}"
        print(f"{v.set:10} {v.proxy:18} rank {v.rank_correlation:+.3f}  linear {v.linear_correlation:+.3f}  {order}")
    for band in bands:
        of = f"least {band.least:.3f}, median {band.median:.3f} of {band.columns}"
        print(f"overlap@10 {band.low:.1f} to {band.high:.1f}: {of}")
    shipped = {"source": given.source, "validity": [*map(asdict, validity)], "overlap_bands": [*map(asdict, bands)]}
    BENCHMARK_FILE.write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
