"""The checks of verify by name, their findings, and the checks that need the listings only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from adaptor.artefact import Adaptor
from adaptor.codec import BITS, coded_dims
from adaptor.errors import InputError
from jobs.commits.ledger import LedgerRecord
from jobs.commits.manifest import MANIFEST, Manifest, OutputFile
from jobs.commits.names import RowGroups
from jobs.commits.work_items import seams
from jobs.sources.source import Shard

Check = Literal[
    "coverage",
    "files",
    "manifest",
    "bytes",
    "stamps",
    "columns",
    "rows",
    "ids",
    "numbers",
    "sample",
    "unique",
    "canary",
]
#: What each check claims, in the order of the report.
CLAIMS: dict[Check, str] = {
    "coverage": "the ledger covers every shard of the source exactly once, as it is now",
    "files": "every record has its output, every output its record",
    "manifest": "the manifest names what the ledger records, and all that kept manifests name is there",
    "bytes": "outputs and quarantine files have the recorded size and SHA-256",
    "stamps": "footers name this adaptor, this dim and their own source",
    "columns": "columns are those of the source, the vectors of the right type and dim",
    "rows": "row counts of source, output, quarantine and ledger agree",
    "ids": "ids are those of the source in its order, less the quarantined",
    "numbers": "vectors are finite, and of length 1 for cosine",
    "sample": "sampled rows computed again from the source agree",
    "unique": "no id occurs twice",
    "canary": "the adaptor makes of its canary vectors here what it made at its fit, in every encoding",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which check found it, in which file, and what."""

    check: Check
    where: str
    problem: str


@dataclass(frozen=True)
class Coverage:
    """Findings about the listings, records of the source as it is, and of shards that were `removed` but may stay."""

    findings: list[Finding]
    current: list[LedgerRecord]
    removed: list[LedgerRecord]


def cover(shards: Sequence[Shard], records: Iterable[LedgerRecord], keep_removed: bool) -> Coverage:
    """Compare the source's listing with the ledger's records."""
    by_shard: dict[str, list[LedgerRecord]] = defaultdict(list)
    for record in records:
        by_shard[record.shard].append(record)
    coverage = Coverage([], [], [])
    for shard in shards:
        recorded = by_shard.pop(shard.key, [])
        current = [record for record in recorded if (record.size, record.version) == (shard.size, shard.version)]
        coverage.current.extend(current)
        problem = _problem([record.row_groups for record in current])
        if len(current) < len(recorded):
            problem = f"changed after it was compressed{'' if not current else ', an old record is left'}: run compress"
        if problem:
            coverage.findings.append(Finding("coverage", shard.key, problem))
    for key, recorded in sorted(by_shard.items()):
        if keep_removed:
            coverage.removed.extend(recorded)
        else:
            problem = "is not in the source any more, its output is: run compress (output.removed: delete removes it)"
            coverage.findings.append(Finding("coverage", key, problem))
    return coverage


def match_files(records: Sequence[LedgerRecord], outputs: Set[str]) -> list[Finding]:
    """Compare the outputs that the records name with those that exist."""
    named = Counter(record.output for record in records)
    problems = dict.fromkeys(sorted(named.keys() - outputs), "is missing: run compress again")
    problems |= dict.fromkeys(sorted(outputs - named.keys()), "has no record: run compress again")
    shared = [
        Finding("files", key, f"is named by {count} records") for key, count in sorted(named.items()) if count > 1
    ]
    return [Finding("files", key, problem) for key, problem in problems.items()] + shared


def match_manifest(manifest: Manifest | None, kept: Manifest | None, records: Iterable[LedgerRecord]) -> list[Finding]:
    """Compare `manifest.json` with the newest of the `kept` ones, and with the ledger."""
    if manifest is None or manifest != kept:
        problem = "is missing" if manifest is None else "is not the newest of the kept ones"
        return [Finding("manifest", MANIFEST, f"{problem}: run compress to its end")]
    recorded = {file.path: file for file in map(OutputFile.of, records)}
    named = {file.path: file for file in manifest.files}
    problems = dict.fromkeys(sorted(named.keys() - recorded.keys()), "is in the manifest and has no record")
    problems |= dict.fromkeys(sorted(recorded.keys() - named.keys()), "has a record and is not in the manifest")
    both = sorted(named.keys() & recorded.keys())
    problems |= {key: "is told differently by manifest and record" for key in both if named[key] != recorded[key]}
    return [Finding("manifest", key, f"{problem}: run compress again") for key, problem in problems.items()]


def match_kept(manifests: Sequence[Manifest], sizes: Mapping[str, int]) -> list[Finding]:
    """Compare what kept manifests, ascending, name with the sizes of what is there, by key: their feeds, and the files
    of all but the newest, which other checks look into."""
    findings: dict[str, Finding] = {}
    for manifest in manifests:
        named: dict[str, int] = {feed.path: feed.bytes for feed in manifest.feeds}
        if manifest is not manifests[-1]:
            named |= {file.path: file.bytes for file in manifest.files}
        for key, size in named.items():
            if sizes.get(key) != size:
                found = "is missing" if key not in sizes else f"has {sizes[key]} bytes"
                problem = f"{found}, the manifest of sequence {manifest.sequence} says {size} bytes"
                findings[key] = Finding("manifest", key, problem)
    return list(findings.values())


def check_canary(adaptor: Adaptor) -> list[Finding]:
    """Open every codec that the canary covers: a codec checks itself. Loading the adaptor has checked its floats."""
    findings = []
    for dim in sorted({*adaptor.dims} & {*coded_dims(adaptor.codes)}):
        for encoding in BITS:
            try:
                adaptor.codec(dim=dim, encoding=encoding)
            except InputError as problem:
                findings.append(Finding("canary", "adaptor", str(problem)))
    return findings


def _problem(runs: Sequence[RowGroups | None]) -> str | None:
    """What is wrong with the row groups that the records of one version of a shard cover."""
    if not runs:
        return "has no record: run compress again"
    parts = [run for run in runs if run is not None]
    if len(parts) < len(runs):
        return "is covered as a whole more than once: rows are doubled" if len(runs) > 1 else None
    if len({run.total for run in parts}) > 1:
        return "has records that disagree on its number of row groups: run compress again"
    for stop, start in seams(parts, parts[0].total):
        if stop < start:
            return f"row groups {stop} to {start - 1} are not covered: run compress again"
        if stop > start:
            return f"row groups {start} to {stop - 1} are doubled"
    return None
