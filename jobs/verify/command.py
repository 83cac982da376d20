"""`matryoshka verify`: is an output version complete, whole and right? Trusts neither the ledger nor the files.

1. Listings: source against ledger against files (`jobs.verify.checks`). 2. Every output against its record and
its source, and ids across outputs, streamed by Ray tasks (`jobs.verify.tasks`). 3. A list of checks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from adaptor.errors import InputError
from cluster.session import connect
from jobs.commits.context import JobContext
from jobs.commits.ledger import LedgerRecord, list_names, output_keys, read_record
from jobs.commits.output_version import check_description
from jobs.config.verify import VerifyConfig
from jobs.runtime.plural import plural
from jobs.runtime.summary import summarised
from jobs.sources.sampling import choose_rows
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from jobs.verify.checks import CLAIMS, COVERAGE, SAMPLE, UNIQUE, Coverage, Finding, cover, match_files

_READING_THREADS = 16
_MOST_ROW_GROUPS = 4096
_SHOWN = 10
_LISTED = 1000


def run(config: VerifyConfig) -> int:
    """Check the output version and print the result; 0 when every check holds, 1 otherwise.

    Raises `InputError` when there is no output version, or artefact, source and configuration do not fit together.
    """
    started = time.time()
    context = JobContext.open(config)
    check_description(context.output_version, context.description)
    folder = open_objects(f"{context.output_version.uri}/_verify", config.output.filesystem)
    with summarised(folder, "verify", started) as numbers:
        findings = _verify(config, context, numbers)
    return 1 if findings else 0


def _verify(config: VerifyConfig, context: JobContext, numbers: dict[str, Any]) -> list[Finding]:
    """Make all checks, put their results into `numbers` and print them."""
    output_version = context.output_version
    shards = context.source.shards()
    records, findings = _read_ledger(output_version)
    covered = cover(shards, records, config.output.removed == "keep")
    outputs = set(output_keys(output_version, context.output_format.suffix))
    findings += covered.findings + match_files(records, outputs)
    rows, more, unchecked = _check_items(config, covered, outputs)
    findings += more
    kept = len({record.shard for record in covered.kept})
    numbers |= {
        "status": "failed" if findings else "complete",
        "adaptor_id": context.adaptor.adaptor_id,
        "shards": len(shards),
        "shards_removed_and_kept": kept,
        "work_items": len(records),
        "rows": rows,
        "rows_quarantined": sum(record.rows_quarantined for record in records),
        "checks": {check: _state(check, findings, unchecked) for check in CLAIMS},
        "findings": [vars(finding) for finding in findings[:_LISTED]],
    }
    _report(output_version, numbers, findings, unchecked)
    return findings


def _read_ledger(output_version: Objects) -> tuple[list[LedgerRecord], list[Finding]]:
    names = list_names(output_version)
    findings: list[Finding] = []

    def read(name: Any) -> LedgerRecord | None:
        """The record, or None when it is damaged."""
        try:
            return read_record(output_version, name)
        except InputError as problem:
            findings.append(Finding(COVERAGE, name.key, str(problem)))
            return None

    with ThreadPoolExecutor(_READING_THREADS) as threads:
        records = [record for record in threads.map(read, names) if record is not None]
    return sorted(records, key=lambda record: record.output), findings


def _check_items(
    config: VerifyConfig, covered: Coverage, outputs: set[str]
) -> tuple[int, list[Finding], dict[str, str]]:
    """Check every output that exists: rows in all, findings, and which checks were not done and why."""
    current = [record for record in covered.current if record.output in outputs]
    kept = [record for record in covered.kept if record.output in outputs]
    sizes = [[record.rows_out] for record in current]
    sampled = choose_rows(sizes, config.verification.sample_rows, _MOST_ROW_GROUPS, config.verification.seed)
    total = sum(record.rows_out for record in (*current, *kept))
    wants_ids = total <= config.verification.unique_ids_up_to
    unchecked = {} if config.verification.sample_rows else {SAMPLE: "verification.sample_rows is 0"}
    if not wants_ids:
        most = config.verification.unique_ids_up_to
        unchecked[UNIQUE] = f"{total:,} rows, verification.unique_ids_up_to is {most:,}"
    cluster = config.cluster
    workers = max(1, min(cluster.workers, len(current) + len(kept)))
    with connect(cluster, workers * cluster.cpus_per_worker):
        from jobs.verify.context import ItemTask
        from jobs.verify.tasks import check_outputs

        tasks = [ItemTask(record, True, sampled.get(i, ()), wants_ids) for i, record in enumerate(current)]
        tasks += [ItemTask(record, False, (), wants_ids) for record in kept]
        return *check_outputs(config, tasks, total if wants_ids else 0), unchecked


def _state(check: str, findings: Sequence[Finding], unchecked: dict[str, str]) -> str:
    if any(finding.check == check for finding in findings):
        return "FAILED"
    return "not checked" if check in unchecked else "ok"


def _report(
    output_version: Objects, numbers: dict[str, Any], findings: Sequence[Finding], unchecked: dict[str, str]
) -> None:
    lines = [output_version.uri]
    for check, claim in CLAIMS.items():
        lines.append(
            f"{numbers['checks'][check]:<12}{claim}" + (f" ({unchecked[check]})" if check in unchecked else "")
        )
        mine = [finding for finding in findings if finding.check == check]
        lines += [f"{'':<14}{finding.where}: {finding.problem}" for finding in mine[:_SHOWN]]
        if len(mine) > _SHOWN:
            lines.append(f"{'':<14}… and {len(mine) - _SHOWN:,} more, see _verify/summary.json")
    kept = numbers["shards_removed_and_kept"]
    if kept:
        lines.append(f"outputs kept of {plural(kept, 'shards')} no longer in the source (output.removed: keep)")
    lines.append(
        f"{plural(len(findings), 'findings') if findings else 'all checks hold'}: "
        f"{plural(numbers['shards'], 'shards')}, {plural(numbers['rows'], 'rows')}, "
        f"{numbers['rows_quarantined']:,} in quarantine"
    )
    sys.stdout.write("\n".join(lines) + "\n")
