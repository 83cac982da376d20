"""The checks of verify by name, what they found, and the ones that need the listings only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from jobs.commits.ledger import LedgerRecord
from jobs.sources.source import Shard

COVERAGE, FILES, BYTES, STAMPS, COLUMNS, ROWS, IDS, NUMBERS, SAMPLE, UNIQUE = (
    "coverage",
    "files",
    "bytes",
    "stamps",
    "columns",
    "rows",
    "ids",
    "numbers",
    "sample",
    "unique",
)
#: What each check claims, in the order of the report.
CLAIMS = {
    COVERAGE: "the ledger covers every shard of the source exactly once, as it is now",
    FILES: "every record has its output, every output its record",
    BYTES: "outputs and quarantine files have the recorded size and SHA-256",
    STAMPS: "footers name this adaptor, this dim and their own source",
    COLUMNS: "columns are those of the source, the vectors of the right type and dim",
    ROWS: "row counts of source, output, quarantine and ledger agree",
    IDS: "ids are those of the source in its order, less the quarantined",
    NUMBERS: "vectors are finite, and of length 1 for cosine",
    SAMPLE: "sampled rows computed again from the source agree",
    UNIQUE: "no id occurs twice",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which check found it, in which file, and what."""

    check: str
    where: str
    problem: str


@dataclass(frozen=True)
class Coverage:
    """Findings about the listings; records to look into that belong to the source as it is (`current`), and that belong
    to shards which left it and were kept (`kept`)."""

    findings: list[Finding]
    current: list[LedgerRecord]
    kept: list[LedgerRecord]


def cover(shards: Sequence[Shard], records: Iterable[LedgerRecord], keep_removed: bool) -> Coverage:
    """Compare the source's listing with the ledger's records."""
    by_shard: dict[str, list[LedgerRecord]] = defaultdict(list)
    for record in records:
        by_shard[record.shard].append(record)
    covered = Coverage([], [], [])
    for shard in shards:
        mine = by_shard.pop(shard.key, [])
        current = [r for r in mine if (r.size, r.version) == (shard.size, shard.version)]
        covered.current.extend(current)
        problem = _problem(current) if current else "has no record: run compress again"
        if len(current) < len(mine):
            problem = f"changed after it was compressed{'' if not current else ', an old record is left'}: run compress"
        if problem:
            covered.findings.append(Finding(COVERAGE, shard.key, problem))
    for key, mine in sorted(by_shard.items()):
        if keep_removed:
            covered.kept.extend(mine)
        else:
            problem = "is not in the source any more, its output is: run compress (output.removed: delete removes it)"
            covered.findings.append(Finding(COVERAGE, key, problem))
    return covered


def match_files(records: Sequence[LedgerRecord], outputs: Collection[str]) -> list[Finding]:
    """Compare the outputs that the records name with those that exist."""
    named = Counter(record.output for record in records)
    missing = [Finding(FILES, key, "is missing: run compress again") for key in sorted(set(named) - set(outputs))]
    extra = [Finding(FILES, key, "has no record: run compress again") for key in sorted(set(outputs) - set(named))]
    shared = [Finding(FILES, key, f"is named by {n} records") for key, n in sorted(named.items()) if n > 1]
    return missing + extra + shared


def _problem(records: Sequence[LedgerRecord]) -> str | None:
    """What is wrong with the runs of row groups of one version of a shard."""
    runs = sorted(record.row_groups for record in records if record.row_groups is not None)
    if not runs:
        return None if len(records) == 1 else "is covered twice"
    if len(runs) < len(records):
        return "is covered as a whole and in runs of row groups: rows are doubled"
    end = 0
    for run in runs:
        if run.start != end:
            between = f"{min(run.start, end)} to {max(run.start, end) - 1}"
            return f"row groups {between} are {'not covered: run compress again' if run.start > end else 'doubled'}"
        end = run.stop
    if end != runs[0].total or any(run.total != end for run in runs):
        return f"row groups {end} to {runs[0].total - 1} are not covered: run compress again"
    return None
