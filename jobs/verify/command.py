"""`matryoshka verify`: is an output version complete, whole and right? Trusts neither the ledger nor the files.

1. Listings: source against ledger against files (`checks`). 2. Every output against its record and its source, and ids
across outputs, streamed by Ray tasks (`tasks`). 3. A list of checks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from adaptor.errors import InputError
from cluster.session import connect
from jobs.commits.context import JobContext
from jobs.commits.ledger import LedgerRecord, list_names, output_keys, read_records
from jobs.commits.manifest import FEEDS, MANIFEST, SUPERSEDED, kept_manifests, read_manifest
from jobs.commits.names import DATA
from jobs.commits.output_version import check_description
from jobs.config.verify import VerificationSection, VerifyConfig
from jobs.runtime.plural import plural
from jobs.runtime.summary import summarised
from jobs.sources.sampling import choose_rows
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from jobs.verify.checks import CLAIMS, Check, Finding, check_canary, cover, match_files, match_kept, match_manifest
from jobs.verify.context import ItemTask

_MOST_ROW_GROUPS = 4096
#: Findings of a check that are printed, and findings in summary.json, at most.
_SHOWN, _LISTED = 10, 1000


def run(config: VerifyConfig) -> int:
    """Check the output version and print the result; 0 when every check holds, 1 otherwise.

    Raises `InputError` when there is no output version, or artefact, source and configuration do not fit together.
    """
    started = time.time()
    context = JobContext.open(config)
    check_description(context.output_version, context.description)
    folder = open_objects(f"{context.output_version.uri}/_verify", config.output.filesystem)
    with summarised(folder, "verify", started) as numbers:
        findings = _verify(context, numbers)
    return 1 if findings else 0


def _verify(context: JobContext[VerifyConfig], numbers: dict[str, Any]) -> list[Finding]:
    """Make all checks, put their results into `numbers` and print them."""
    shards = context.source.shards()
    context = context.pinned()
    config, output_version = context.config, context.output_version
    sequence = _newest(output_version)  # before anything is looked at: a run may add another one meanwhile
    names = list_names(output_version)
    read = list(zip(names, read_records(output_version, names), strict=True))
    records = sorted((record for _, record in read if isinstance(record, LedgerRecord)), key=lambda r: r.output)
    findings = [Finding("coverage", name.key, str(r)) for name, r in read if not isinstance(r, LedgerRecord)]
    coverage = cover(shards, records, context.keeps_removed)
    outputs = set(output_keys(output_version, context.output_format.suffix))
    findings += coverage.findings + match_files(records, outputs) + _check_manifests(output_version, records)

    current = [record for record in coverage.current if record.output in outputs]
    removed = [record for record in coverage.removed if record.output in outputs]
    unchecked = _unchecked(config.verification, sum(record.rows_out for record in (*current, *removed)))
    if not context.adaptor.canary:
        unchecked["canary"] = "the adaptor is of a version before canaries"
    tasks = _tasks(config.verification, current, removed, wants_ids="unique" not in unchecked)
    workers = max(1, min(config.cluster.min_workers, len(tasks)))
    with connect(config.cluster, workers * config.cluster.cpus_per_worker):
        from jobs.verify.tasks import check_outputs

        rows, item_findings = check_outputs(config, tasks)
    findings += item_findings + check_canary(context.adaptor)
    states: dict[Check, str] = {check: "not checked" if check in unchecked else "ok" for check in CLAIMS}
    numbers |= {
        "status": "failed" if findings else "complete",
        "adaptor_id": context.adaptor.adaptor_id,
        "sequence": sequence,
        "shards": len(shards),
        "shards_removed_and_kept": len({record.shard for record in coverage.removed}),
        "work_items": len(records),
        "rows": rows,
        "rows_quarantined": sum(record.rows_quarantined for record in records),
        "checks": states | {finding.check: "FAILED" for finding in findings},
        "findings": [vars(finding) for finding in findings[:_LISTED]],
        "source_snapshot": context.source.snapshot(),
        "notes": context.source.notes(),
    }
    sys.stdout.write(_report(output_version.uri, numbers, findings, unchecked))
    return findings


def _newest(output_version: Objects) -> int | None:
    """The sequence of `manifest.json`; None where there is none that can be read."""
    try:
        return read_manifest(output_version).sequence
    except InputError:
        return None


def _check_manifests(output_version: Objects, records: Sequence[LedgerRecord]) -> list[Finding]:
    """The newest manifest against the ledger, all kept ones against what is there."""
    folders = (DATA, SUPERSEDED, FEEDS)
    sizes = {info.key: info.size for folder in folders for info in output_version.list(folder)}
    try:
        newest = read_manifest(output_version) if output_version.stat(MANIFEST) else None
        kept = list(kept_manifests(output_version))
        return match_manifest(newest, kept[-1] if kept else None, records) + match_kept(kept, sizes)
    except InputError as problem:
        return [Finding("manifest", MANIFEST, str(problem))]


def _unchecked(section: VerificationSection, rows: int) -> dict[Check, str]:
    """Checks that are not made on outputs of so many rows, and why."""
    reasons: dict[Check, str] = {}
    if not section.sample_rows:
        reasons["sample"] = "verification.sample_rows is 0"
    if rows > section.unique_ids_up_to:
        reasons["unique"] = f"{rows:,} rows, verification.unique_ids_up_to is {section.unique_ids_up_to:,}"
    return reasons


def _tasks(
    section: VerificationSection, current: Sequence[LedgerRecord], removed: Sequence[LedgerRecord], *, wants_ids: bool
) -> list[ItemTask]:
    rows = [[record.rows_out] for record in current]
    sampled = choose_rows(rows, section.sample_rows, _MOST_ROW_GROUPS, section.seed)
    tasks = [ItemTask(record, True, sampled.get(index, ()), wants_ids) for index, record in enumerate(current)]
    return tasks + [ItemTask(record, False, (), wants_ids) for record in removed]


def _report(uri: str, numbers: Mapping[str, Any], findings: Sequence[Finding], unchecked: Mapping[Check, str]) -> str:
    lines = [uri]
    for check, claim in CLAIMS.items():
        reason = f" ({unchecked[check]})" if check in unchecked else ""
        lines.append(f"{numbers['checks'][check]:<12}{claim}{reason}")
        failed = [f"{'':<14}{finding.where}: {finding.problem}" for finding in findings if finding.check == check]
        lines += failed[:_SHOWN]
        if len(failed) > _SHOWN:
            lines.append(f"{'':<14}… and {len(failed) - _SHOWN:,} more, see _verify/summary.json")
    if removed := numbers["shards_removed_and_kept"]:
        lines.append(f"outputs kept of {plural(removed, 'shards')} no longer in the source (output.removed: keep)")
    lines += [f"note: {note}" for note in numbers["notes"]]
    result = plural(len(findings), "findings") if findings else "all checks hold"
    shards, rows = plural(numbers["shards"], "shards"), plural(numbers["rows"], "rows")
    lines.append(f"{result}: {shards}, {rows}, {numbers['rows_quarantined']:,} in quarantine")
    return "\n".join(lines) + "\n"
