"""`matryoshka evaluate`: measure what search quality each dim keeps, against truncation and PCA.

Queries, or rows of the source (jobs/search/sampled_queries.py) → exact search of the whole source by every method and
dim (source_search.py, tasks.py) → scores (judgments.py, scoring.py, label_free.py) → metrics.json, report.html
(jobs/reporting/report.py) and a table on the terminal (results_table.py).
"""

from __future__ import annotations

import json
import sys
import time

from adaptor.baselines import ADAPTOR, ORIGINAL, Column
from adaptor.errors import InputError
from cluster.session import connect
from jobs.config.evaluate import EvaluateConfig
from jobs.config.loader import resolved
from jobs.reporting.byte_curves import byte_curves
from jobs.reporting.results import Facts, Results
from jobs.reporting.results_table import print_results
from jobs.runtime.extras import report_hint
from jobs.runtime.progress import Progress
from jobs.runtime.summary import summarised
from jobs.search.context import MeasureContext, open_context
from jobs.search.label_free import label_free_scores
from jobs.search.proxies import proxy_validity
from jobs.search.scoring import ColumnScores, compare, main_metric, make_records
from jobs.search.tasks import search_source
from jobs.storage.adaptors import untrained_dims
from jobs.storage.open import open_objects

METRICS_FILE, CONFIG_FILE, REPORT_FILE, PICTURE_FILE = "metrics.json", "config.json", "report.html", "quality.svg"


def run(config: EvaluateConfig) -> int:
    """Measure; write metrics.json, summary.json, config.json and, with the extra `report`, its page and picture; 0."""
    started = time.time()
    if (missing := report_hint()) is not None:
        print(
            f"matryoshka evaluate: {REPORT_FILE} and {PICTURE_FILE} are left out: {missing}",
            file=sys.stderr,
        )
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    cluster, options = config.cluster, config.evaluation
    context = open_context(config, options, "evaluation", with_trained=False)
    with summarised(output, "evaluate", started) as numbers:
        with connect(
            cluster, cluster.min_workers * cluster.cpus_per_worker, cluster.min_workers * cluster.gpus_per_worker
        ):
            scores, facts = _measure(config, context)
        records = make_records(facts.set, scores, options.bootstrap, options.seed, context.columns.bytes_of)
        main = main_metric([record.metric for record in records])
        results = Results(records, compare(scores, main, ADAPTOR, options.bootstrap, options.seed))
        lines = ",\n".join(json.dumps(vars(record), ensure_ascii=False) for record in records)
        output.put(METRICS_FILE, f"[\n{lines}\n]\n".encode())
        if missing is None:
            from jobs.reporting.report import draw_byte_curves, render

            output.put(REPORT_FILE, render(facts, results).encode())
            output.put(PICTURE_FILE, draw_byte_curves(byte_curves(results)).encode())
        else:
            output.delete(REPORT_FILE)  # an earlier run's would show other numbers
            output.delete(PICTURE_FILE)
        output.put(CONFIG_FILE, resolved(config).encode())
        numbers |= vars(facts) | {
            "shards": len(context.shards),
            "input_bytes": sum(shard.size for shard in context.shards),
            "dims": context.columns.dims,
            "proxies": [vars(validity) for validity in proxy_validity(records)],
            "comparisons": [vars(comparison) for comparison in results.comparisons],
        }
    print_results(results, facts, sys.stdout)
    for name in (METRICS_FILE, *([REPORT_FILE, PICTURE_FILE] if missing is None else [])):
        print(f"{config.output.uri.rstrip('/')}/{name}")
    return 0


def _measure(config: EvaluateConfig, context: MeasureContext) -> tuple[ColumnScores, Facts]:
    options, adaptor, shards = config.evaluation, context.adaptor, context.shards
    spec = context.whole_source_search(options.sampled_queries, options.seed)
    with Progress("evaluate", total=len(shards), unit="shards", rates=("vectors",), log=config.cluster.log) as progress:
        result = search_source(spec, shards, config.cluster, progress)
        left_out = result.left_out.total()
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in result.left_out.most_common(5))
        if left_out == result.rows:
            why = f": {reasons}" if reasons else ""
            raise InputError(f"source {config.source.uri}: none of its {result.rows:,} rows can be used{why}")
        scores = label_free_scores(spec, result)
        notes = [f"{left_out:,} rows are left out: {reasons}"] if left_out else []
        notes += [*untrained_dims(adaptor, context.columns.dims), *context.add_retrieval_scores(scores, result)]
        for note in notes:
            progress.note(note)
    original = scores[Column(ORIGINAL, adaptor.input_dim)]
    return scores, Facts(
        set=options.name or config.source.uri.rstrip("/").rpartition("/")[2],
        rows=result.rows,
        left_out_rows=left_out,
        queries=len(spec.queries),
        judged_queries=len(original["ndcg@10"]) if context.judged_ids else None,
        input_dim=adaptor.input_dim,
        metric=adaptor.metric,
        adaptor_id=adaptor.adaptor_id,
        architecture=adaptor.architecture,
        sampled_queries=config.queries is None,
        bootstrap=options.bootstrap,
        notes=notes,
    )
