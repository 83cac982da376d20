"""`matryoshka advise`: how small can I go? Before any full run, from a sample of the source and a fitted adaptor.

Search nested samples and extrapolate to the whole source (measure.py, nested_samples.py) → means with intervals
(estimates.py) → costs, and the smallest dim that meets the targets (decision.py) → advice.json (records.py), a table
and plain words (table.py, answer.py, notes.py).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from adaptor.baselines import ADAPTOR
from cluster.session import connect
from jobs.advise.answer import answer
from jobs.advise.decision import Advice, Costs, decide
from jobs.advise.estimates import combine, estimate
from jobs.advise.measure import Measurement, measure
from jobs.advise.notes import adaptor_notes, same_as_pca
from jobs.advise.records import detail_records
from jobs.advise.table import print_advice
from jobs.config.advise import AdviseConfig
from jobs.config.loader import resolved
from jobs.encodings.encoding import open_encoding
from jobs.runtime.progress import Progress
from jobs.runtime.summary import summarised
from jobs.search.context import MeasureContext, open_context
from jobs.storage.adaptors import untrained_dims
from jobs.storage.open import open_objects

ADVICE_FILE, CONFIG_FILE = "advice.json", "config.json"


def run(config: AdviseConfig) -> int:
    """Estimate, decide, write advice.json, summary.json and config.json; 1 when no dim meets the targets, else 0."""
    started = time.time()
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    cluster, options = config.cluster, config.advising
    context = open_context(config, options, "advising", with_trained=True)
    unit = "nested samples" if options.sample_rows else "runs of shards"
    with summarised(output, "advise", started) as numbers:
        with (
            connect(cluster, cluster.workers * cluster.cpus_per_worker, cluster.workers * cluster.gpus_per_worker),
            Progress("advise", unit=unit, log=cluster.log) as progress,
        ):
            measurement = measure(context, options, progress)
        advice = _decide(config, context, measurement)
        notes = [*untrained_dims(context.adaptor, context.columns.dims), *same_as_pca(advice), *adaptor_notes(context)]
        notes += measurement.notes
        numbers |= _summary(context, measurement, advice) | {"notes": notes}
        document = numbers | detail_records(advice, measurement.samples)
        output.put(ADVICE_FILE, json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")
        output.put(CONFIG_FILE, resolved(config).encode())
    print_advice(advice, _facts(context, measurement, advice), notes, sys.stdout)
    print(f"{config.output.uri.rstrip('/')}/{ADVICE_FILE}")
    return 0 if advice.met else 1


def _decide(config: AdviseConfig, context: MeasureContext, measurement: Measurement) -> Advice:
    options, adaptor = config.advising, context.adaptor
    estimates = combine([estimate(scores, options.bootstrap, options.seed) for scores in measurement.curves])
    costs = Costs(
        rows=measurement.source_rows,
        input_dim=adaptor.input_dim,
        vector_bytes_now=context.vector_bytes,
        vector_bytes=lambda dim: open_encoding(options.encoding, adaptor, dim).bytes_per_vector,
        metric=adaptor.metric,
    )
    return decide(config.targets, estimates, costs)


def _summary(context: MeasureContext, measurement: Measurement, advice: Advice) -> dict[str, Any]:
    return {
        "adaptor_id": context.adaptor.adaptor_id,
        "rows": measurement.source_rows,
        "searched_rows": measurement.searched_rows,
        "queries": measurement.queries,
        "judged_queries": advice.estimates.queries.get("ndcg@10"),
        "targets": [str(target) for target in advice.targets],
        "met": advice.met,
        "dim": advice.dim,
        "dim_of_other_methods": {method: dim for method, dim in advice.chosen.items() if method != ADAPTOR},
        "answer": answer(advice),
    }


def _facts(context: MeasureContext, measurement: Measurement, advice: Advice) -> str:
    """What was measured on what, in one line."""
    searched = "all searched"
    if measurement.searched_rows < measurement.source_rows:
        searched = f"{measurement.searched_rows:,} searched, extrapolated to the whole source"
    queries = "rows of the source as queries" if context.queries is None else "queries"
    judged = f" ({advice.estimates.queries['ndcg@10']:,} judged)" if "ndcg@10" in advice.estimates.queries else ""
    return (
        f"{measurement.source_rows:,} vectors x {context.adaptor.input_dim:,}, {searched}; {measurement.queries:,} "
        f"{queries}{judged}; {context.adaptor.metric}; adaptor {context.adaptor.adaptor_id[:12]}"
    )
