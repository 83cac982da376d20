"""`matryoshka evaluate`: measure what search quality each dim keeps, against truncation and PCA.

In jobs/evaluation/: queries, or rows of the source (anchors.py) → exact search of the whole source by every method and
dim (source_search.py, one Ray task per run of shards) → scores (judgments.py, scoring.py, geometry.py) → metrics.json,
report.html (report.py) and a table on the terminal (report_table.py).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from adaptor.neighbours import Ids
from cluster.session import connect
from jobs.adaptors import open_adaptor
from jobs.config.commands import EvaluateConfig
from jobs.config.loader import resolved
from jobs.reporting.report import Facts, render
from jobs.reporting.sentences import ADAPTOR, Results, main_metric
from jobs.reporting.table import print_results
from jobs.runtime.progress import Progress
from jobs.runtime.summary import write_summary
from jobs.search.checks import check_dimension, chosen_dims, untrained
from jobs.search.judgments import judged_documents, match, scored
from jobs.search.label_free import geometry_scores
from jobs.search.methods import Column
from jobs.search.proxies import proxy_validity
from jobs.search.sampled_queries import sample_queries
from jobs.search.scoring import DEPTH, Scores, compare, make_records
from jobs.search.source_search import Found, Search
from jobs.search.tasks import search_source
from jobs.sources.queries import Queries, read_qrels, read_queries
from jobs.sources.source import Shard, open_source
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

METRICS_FILE, REPORT_FILE, CONFIG_FILE = "metrics.json", "report.html", "config.json"

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Measured:
    """Scores per column and query, what was found, and what the user should know about the data."""

    scores: dict[Column, dict[str, Scores]]
    found: Found
    queries: int
    notes: list[str]


def run(config: EvaluateConfig) -> int:
    """Measure and write metrics.json, report.html, summary.json and config.json; exit status 0."""
    began = time.time()
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    adaptor = open_adaptor(config.adaptor, config.source)
    dims = chosen_dims(config, adaptor)
    shards = open_source(config.source).shards()
    check_dimension(config, adaptor, shards)
    queries = read_queries(config.queries, adaptor.input_dim) if config.queries else None
    qrels = read_qrels(config.qrels) if config.qrels else None
    cluster = config.cluster
    with connect(
        cluster, cluster.workers * cluster.cpus_per_worker, need_gpus=cluster.workers * cluster.gpus_per_worker
    ):
        measured = _measure(config, adaptor, dims, shards, (queries, qrels))
    results = _results(config, measured.scores)
    facts = _facts(config, adaptor, measured, results)
    _write(config, output, results, facts)
    numbers = {
        "adaptor_id": adaptor.adaptor_id,
        "set": facts.set,
        "rows": facts.rows,
        "left_out_rows": measured.found.left_out.total(),
        "shards": len(shards),
        "input_bytes": sum(shard.size for shard in shards),
        "queries": facts.queries,
        "judged_queries": facts.judged,
        "dims": dims,
        "proxies": [vars(worth) for worth in proxy_validity(results.records)],
        "comparisons": [vars(comparison) for comparison in results.comparisons],
        "notes": list(facts.notes),
    }
    write_summary(output, "evaluate", numbers, began)
    print_results(results, facts, sys.stdout)
    for name in (METRICS_FILE, REPORT_FILE):
        print(f"{config.output.uri.rstrip('/')}/{name}")
    return 0


def _measure(
    config: EvaluateConfig,
    adaptor: Adaptor,
    dims: tuple[int, ...],
    shards: list[Shard],
    asked: tuple[Queries | None, Qrels | None],
) -> Measured:
    queries, qrels = asked
    exclude: Ids | None = None
    evaluation = config.evaluation
    if queries is None:
        sampled = sample_queries(config.source, shards, adaptor, evaluation.sampled_queries, evaluation.seed)
        vectors, exclude, query_ids = sampled.vectors, sampled.names, []
    else:
        vectors, query_ids = queries.vectors, queries.ids
    judged_ids = () if qrels is None else judged_documents(qrels, query_ids)
    search = Search(config.source, adaptor.to_files(), dims, vectors, exclude, judged_ids, DEPTH)
    with Progress("evaluate", total=len(shards), unit="shards", rates=("vectors",), log=config.cluster.log) as progress:
        found = search_source(search, shards, config.cluster, progress)
        if not len(found.near_rows):
            raise InputError(f"source {config.source.uri}: none of its {found.rows:,} rows can be used{_why(found)}")
        notes = [f"{found.left_out.total():,} rows are left out{_why(found)}"] if found.left_out else []
        notes += untrained(dims, adaptor)
        scores = geometry_scores(search, adaptor, found)
        if qrels is not None:
            judged = match(qrels, query_ids, found.judged)
            notes += judged.notes
            for column, measures in scored(judged, found.neighbours).items():
                scores[column] |= measures
        for note in notes:
            progress.note(note)
    return Measured(scores, found, len(vectors), notes)


def _why(found: Found) -> str:
    return ": " + ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.most_common(5))


def _results(config: EvaluateConfig, scores: Mapping[Column, Mapping[str, Scores]]) -> Results:
    evaluation = config.evaluation
    name = evaluation.name or config.source.uri.rstrip("/").rpartition("/")[2]
    records = make_records(name, scores, evaluation.bootstrap, evaluation.seed)
    main = main_metric([record.metric for record in records])
    return Results(records, compare(scores, main, ADAPTOR, evaluation.bootstrap, evaluation.seed))


def _facts(config: EvaluateConfig, adaptor: Adaptor, measured: Measured, results: Results) -> Facts:
    return Facts(
        set=results.records[0].set,
        rows=measured.found.rows,
        queries=measured.queries,
        judged=results.original(results.main).n if config.qrels else None,
        input_dim=adaptor.input_dim,
        metric=adaptor.metric,
        adaptor_id=adaptor.adaptor_id,
        architecture=adaptor.architecture,
        sampled_queries=config.queries is None,
        bootstrap=config.evaluation.bootstrap,
        notes=measured.notes,
    )


def _write(config: EvaluateConfig, output: Objects, results: Results, facts: Facts) -> None:
    lines = ",\n".join(json.dumps(record.as_json(), ensure_ascii=False) for record in results.records)
    output.put(METRICS_FILE, f"[\n{lines}\n]\n".encode())
    output.put(REPORT_FILE, render(facts, results).encode())
    output.put(CONFIG_FILE, resolved(config).encode())
