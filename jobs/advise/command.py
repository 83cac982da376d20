"""`matryoshka advise`: how small can I go? Before any full run, from a sample of the source and a fitted adaptor.

In jobs/advising/: search nested samples, carry what they say over to the whole source (measure.py, nested.py) → means
with intervals (estimates.py) → bytes and arithmetic (costs.py) → the smallest dim that meets the targets
(decision.py) → advice.json, a table and plain words (table.py, words.py).
"""

from __future__ import annotations

import json
import sys
import time

from adaptor.artefact import Adaptor
from cluster.session import connect
from jobs.adaptors import open_adaptor
from jobs.advise.answer import Told, answer, like_pca
from jobs.advise.costs import prices
from jobs.advise.decision import decide
from jobs.advise.estimates import Estimates, combine, estimate
from jobs.advise.measure import Measured, Subject, measure
from jobs.advise.records import dim_records, records, trend
from jobs.advise.table import print_advice
from jobs.config.advise import AdviseConfig
from jobs.config.loader import resolved
from jobs.encodings.encoding import open_encoding
from jobs.reporting.sentences import ADAPTOR
from jobs.runtime.progress import Progress
from jobs.runtime.summary import write_summary
from jobs.search.checks import check_dimension, possible, untrained
from jobs.sources.columns import describe_vectors
from jobs.sources.queries import read_qrels, read_queries
from jobs.sources.source import open_source
from jobs.storage.open import open_objects

ADVICE_FILE, CONFIG_FILE = "advice.json", "config.json"
#: Share of the source from which on the adaptor counts as knowing it.
_KNOWN = 0.2


def run(config: AdviseConfig) -> int:
    """Estimate, decide, write advice.json, summary.json and config.json; exit status 1 when no dim meets the
    targets."""
    began = time.time()
    output = open_objects(config.output.uri, config.output.filesystem)
    output.check_writable()
    subject = _subject(config)
    cluster = config.cluster
    with (
        connect(
            cluster, cluster.workers * cluster.cpus_per_worker, need_gpus=cluster.workers * cluster.gpus_per_worker
        ),
        Progress(
            "advise", unit="nested samples" if config.advising.sample_rows else "runs of shards", log=config.cluster.log
        ) as progress,
    ):
        measured = measure(subject, progress)
    options = config.advising
    estimates = combine([estimate(scores, options.bootstrap, options.seed) for scores in measured.curves])
    told = _told(subject, measured, estimates)
    notes = [
        *untrained(subject.dims, subject.adaptor),
        *like_pca(told),
        *_known(subject.adaptor),
        *_labelled(subject),
        *_asked(subject),
        *measured.notes,
    ]
    met = not config.targets or told.decision.chosen[ADAPTOR] is not None
    advice = {
        "adaptor_id": subject.adaptor.adaptor_id,
        "rows": measured.source_rows,
        "searched_rows": measured.searched,
        "queries": measured.queries,
        "judged_queries": estimates.queries.get("ndcg@10"),
        "targets": [str(target) for target in config.targets],
        "met": met,
        "dim": told.decision.chosen[ADAPTOR],
        "dim_of_other_methods": {m: w for m, w in told.decision.chosen.items() if m != ADAPTOR},
        "answer": answer(told),
        "notes": notes,
    }
    whole = {**advice, "dims": dim_records(told), "records": records(estimates), "trend": trend(measured.steps)}
    output.put(ADVICE_FILE, json.dumps(whole, indent=1, ensure_ascii=False).encode() + b"\n")
    output.put(CONFIG_FILE, resolved(config).encode())
    write_summary(output, "advise", advice, began)
    print_advice(told, _facts(subject, measured, estimates), notes, sys.stdout)
    print(f"{config.output.uri.rstrip('/')}/{ADVICE_FILE}")
    return 0 if met else 1


def _subject(config: AdviseConfig) -> Subject:
    adaptor = open_adaptor(config.adaptor, config.source)
    asked = config.advising.dims
    dims = {*adaptor.dims, *(possible("advising.dims", asked, adaptor) if asked is not None else ())}
    shards = open_source(config.source).shards()
    check_dimension(config, adaptor, shards)
    queries = read_queries(config.queries, adaptor.input_dim) if config.queries else None
    qrels = read_qrels(config.qrels) if config.qrels else None
    return Subject(config, adaptor, tuple(sorted(dims)), shards, queries, qrels)


def _told(subject: Subject, measured: Measured, estimates: Estimates) -> Told:
    config = subject.config
    source = config.source
    schema = describe_vectors(open_source(source), subject.shards[0], source).schema
    column = schema.field(source.vector_column).type
    number_bytes = open_encoding(config.advising.encoding, subject.adaptor, 1).bytes_per_vector
    cost = prices(measured.source_rows, subject.adaptor.input_dim, column, number_bytes, source.metric)
    return Told(config.targets, estimates, cost, decide(config.targets, estimates, cost, ADAPTOR))


def _known(adaptor: Adaptor) -> list[str]:
    """What to tell when the adaptor was fitted on much of what it is judged on."""
    data = adaptor.document.get("data", {})
    share = data.get("sampled_rows", 0) / max(1, data.get("source_rows", 1))
    if share < _KNOWN:
        return []
    return [
        f"the adaptor learned from {share:.0%} of the rows of its source, so rows here are not new to it; the evidence "
        "in the artefact is of rows that it never saw"
    ]


def _labelled(subject: Subject) -> list[str]:
    """What to tell of a supervised adaptor when only overlaps can be measured."""
    if subject.qrels is not None or not subject.adaptor.document.get("supervised"):
        return []
    return [
        "the adaptor was fitted with labels, which move vectors away from the original on purpose: its overlaps say "
        "less than its quality; give queries and qrels that the fit did not see"
    ]


def _asked(subject: Subject) -> list[str]:
    """What to tell when the queries may be those of the log that the adaptor was fitted with."""
    known = subject.adaptor.document.get("data", {}).get("queries")
    if subject.queries is None or not known:
        return []
    return [
        f"the adaptor was fitted with {known:,} queries of a log: if these are among them, others will do less well; "
        "give queries that the fit did not see"
    ]


def _facts(subject: Subject, measured: Measured, estimates: Estimates) -> str:
    judged = estimates.queries.get("ndcg@10")
    searched = (
        "all searched"
        if measured.searched >= measured.source_rows
        else f"{measured.searched:,} searched, carried over to the whole source"
    )
    return (
        f"{measured.source_rows:,} vectors x {subject.adaptor.input_dim:,}, {searched}; {measured.queries:,} "
        f"{'rows of the source as queries' if subject.queries is None else 'queries'}"
        f"{f' ({judged:,} judged)' if judged else ''}; {subject.config.source.metric}; adaptor "
        f"{subject.adaptor.adaptor_id[:12]}"
    )
