"""The checks that are arithmetic: coverage of the source, outputs against records, streams that are cut differently."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import RowGroups, output_key
from jobs.sources.source import Shard
from jobs.verify.checks import cover, match_files
from jobs.verify.rows import first_difference

SHARD = Shard("a.parquet", 10, "v1")


def record(run: tuple[int, int, int] | None, shard: Shard = SHARD) -> LedgerRecord:
    """A record of a run of row groups (start, stop, total) of the shard, or of all of it."""
    row_groups = None if run is None else RowGroups(*run)
    return LedgerRecord(
        shard=shard.key,
        size=shard.size,
        version=shard.version,
        row_groups=row_groups,
        rows_in=1,
        rows_out=1,
        rows_quarantined=0,
        duplicate_ids=0,
        output=output_key(shard, row_groups, ".parquet"),
        output_bytes=1,
        sha256="",
        quarantine=None,
        quarantine_sha256=None,
        adaptor_id="",
        dim=1,
        encoding="float32",
        versions={},
    )


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        ([None], None),
        ([(0, 2, 5), (2, 5, 5)], None),
        ([], "has no record"),
        ([None, (0, 2, 5)], "as a whole more than once"),
        ([None, None], "as a whole more than once"),
        ([(0, 2, 4), (2, 6, 6)], "disagree on its number of row groups"),
        ([(0, 2, 5), (3, 5, 5)], "row groups 2 to 2 are not covered"),
        ([(0, 3, 5), (2, 5, 5)], "row groups 2 to 2 are doubled"),
        ([(0, 2, 5)], "row groups 2 to 4 are not covered"),
    ],
)
def test_coverage(runs: list[tuple[int, int, int] | None], problem: str | None) -> None:
    covered = cover([SHARD], [record(run) for run in runs], keep_removed=False)
    assert len(covered.current) == len(runs)
    assert [problem in finding.problem for finding in covered.findings if problem] == ([True] if problem else [])
    assert bool(covered.findings) == (problem is not None)


def test_an_old_record_beside_the_new_one_is_named() -> None:
    covered = cover([SHARD], [record(None), record(None, replace(SHARD, version="v0"))], keep_removed=True)
    assert "changed after it was compressed, an old record is left" in covered.findings[0].problem


def test_outputs_and_records_meet_one_to_one() -> None:
    findings = match_files([record(None), record(None)], {"data/b.parquet"})
    assert {(finding.where, finding.problem.split(":")[0]) for finding in findings} == {
        (record(None).output, "is missing"),
        ("data/b.parquet", "has no record"),
        (record(None).output, "is named by 2 records"),
    }


ids = st.lists(st.sampled_from(["x", "y", ""]), max_size=12)


@settings(deadline=None)  # the machine may be busy
@given(ids, ids, st.lists(st.integers(0, 12)), st.lists(st.integers(0, 12)))
def test_the_first_difference_does_not_depend_on_the_cuts(
    left: list[str], right: list[str], left_cuts: list[int], right_cuts: list[int]
) -> None:
    def stream(texts: list[str], cuts: list[int]) -> list[pa.Array]:
        edges = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
        pairs = itertools.pairwise(edges)
        return [pa.array(texts[start:stop], pa.large_string()) for start, stop in pairs]

    found = first_difference(iter(stream(left, left_cuts)), iter(stream(right, right_cuts)))
    if left == right:
        assert found is None
        return
    row = next(n for n in range(13) if left[n : n + 1] != right[n : n + 1])
    sides = [texts[row] if row < len(texts) else None for texts in (left, right)]
    assert found == (row, *sides)
