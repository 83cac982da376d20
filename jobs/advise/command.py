"""`matryoshka advise`: how small can I go? Before any full run, from a sample of the source and a fitted adaptor.

Search nested samples and extrapolate to the whole source (measure.py, nested_samples.py) → means with intervals
(estimates.py) → what can be stored in fewer bytes (candidates.py), and the smallest of it that meets the targets
(decision.py) → advice.json (records.py), advice.svg, tables and plain words (table.py, answer.py, notes.py).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from adaptor.baselines import ADAPTOR
from cluster.session import connect
from jobs.advise.answer import answer
from jobs.advise.candidates import Costs, candidates
from jobs.advise.decision import Advice
from jobs.advise.estimates import combine, estimate
from jobs.advise.measure import Measurement, measure
from jobs.advise.notes import adaptor_notes, same_as_pca
from jobs.advise.picture import draw_advice
from jobs.advise.records import detail_records
from jobs.advise.table import print_advice
from jobs.config.advise import AdviseConfig
from jobs.config.databases import DATABASES
from jobs.config.loader import resolved
from jobs.runtime.extras import report_hint
from jobs.runtime.progress import Progress
from jobs.runtime.summary import summarised
from jobs.search.context import MeasureContext, open_context
from jobs.storage.adaptors import untrained_dims
from jobs.storage.open import open_objects

ADVICE_FILE, PICTURE_FILE, CONFIG_FILE = "advice.json", "advice.svg", "config.json"


def run(config: AdviseConfig) -> int:
    """Estimate, decide, write advice.json, summary.json, config.json and, with the extra `report`, advice.svg; 1 when
    nothing meets the targets, else 0."""
    started = time.time()
    if (missing := report_hint()) is not None:
        print(f"matryoshka advise: {PICTURE_FILE} is left out: {missing}", file=sys.stderr)
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    cluster, options = config.cluster, config.advising
    context = open_context(config, options, "advising", with_trained=True, database=config.database)
    unit = "nested samples" if options.sample_rows else "runs of shards"
    with summarised(output, "advise", started) as numbers:
        with (
            connect(
                cluster, cluster.min_workers * cluster.cpus_per_worker, cluster.min_workers * cluster.gpus_per_worker
            ),
            Progress("advise", unit=unit, log=cluster.log) as progress,
        ):
            measurement = measure(context, options, progress)
        advice = _decide(config, context, measurement)
        smaller = [dim for dim in context.columns.dims if dim < context.adaptor.input_dim]
        notes = [*untrained_dims(context.adaptor, context.columns.dims), *same_as_pca(advice.estimates, smaller)]
        notes += [*adaptor_notes(context), *measurement.notes]
        numbers |= _summary(context, measurement, advice) | {"notes": notes, "database": config.database}
        document = numbers | detail_records(advice, measurement.samples)
        output.put(ADVICE_FILE, json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")
        drawn = missing is None and bool(advice.own)
        if drawn:
            output.put(PICTURE_FILE, draw_advice(advice).encode())
        else:
            output.delete(PICTURE_FILE)  # an earlier run's would show other numbers
        output.put(CONFIG_FILE, resolved(config).encode())
    print_advice(advice, _facts(context, measurement, advice), notes, sys.stdout)
    for name in (ADVICE_FILE, *([PICTURE_FILE] if drawn else [])):
        print(f"{config.output.uri.rstrip('/')}/{name}")
    return 0 if advice.met else 1


def _decide(config: AdviseConfig, context: MeasureContext, measurement: Measurement) -> Advice:
    options, adaptor = config.advising, context.adaptor
    estimates = combine([estimate(scores, options.bootstrap, options.seed) for scores in measurement.curves])
    costs = Costs(
        rows=measurement.source_rows,
        input_dim=adaptor.input_dim,
        vector_bytes_now=context.vector_bytes,
        metric=adaptor.metric,
    )
    database = None if config.database is None else DATABASES[config.database]
    found = candidates(context.columns, context.vector_bytes, database)
    return Advice(targets=config.targets, estimates=estimates, costs=costs, candidates=found, database=database)


def _summary(context: MeasureContext, measurement: Measurement, advice: Advice) -> dict[str, Any]:
    chosen = {
        method: choice and choice.record
        for method in advice.candidates
        for choice in [advice.choose(advice.targets, method) if advice.targets else None]
    }
    own = chosen.pop(ADAPTOR) or dict.fromkeys(("dim", "encoding", "bytes", "searched_bytes", "rescore"))
    return {
        "adaptor_id": context.adaptor.adaptor_id,
        "rows": measurement.source_rows,
        "searched_rows": measurement.searched_rows,
        "queries": measurement.queries,
        "judged_queries": advice.estimates.queries.get("ndcg@10"),
        "targets": [str(target) for target in advice.targets],
        "met": advice.met,
        **own,
        "other_methods": chosen,
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
