"""Which rows of a new table are not as an old one has them, and which ids are gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.encodings.stored import stored_codes
from jobs.sources.ids import id_texts

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowChanges:
    """Rows to upsert, each id once, and rows of the old table whose id is gone."""

    upserts: pa.RecordBatch
    deletes: pa.RecordBatch


def row_changes(
    old: pa.RecordBatch, new: pa.RecordBatch, id_column: str, vector_columns: Collection[str]
) -> RowChanges:
    """Compare two batches of one schema. Of rows with the same id the last one counts. A payload of NaN is unlike
    itself: its row is upserted again."""
    old, new = (batch.take(last_rows(id_texts(batch.column(id_column)))) for batch in (old, new))
    old_ids, new_ids = (id_texts(batch.column(id_column)) for batch in (old, new))
    places = pc.index_in(new_ids, value_set=old_ids)
    known = np.flatnonzero(places.is_valid())
    same = known[~_unlike(old.take(places.drop_null()), new.take(pa.array(known)), vector_columns)]
    upserts = np.setdiff1d(np.arange(len(new), dtype=np.int64), same, assume_unique=True)
    gone = np.flatnonzero(pc.index_in(old_ids, value_set=new_ids).is_null())
    return RowChanges(new.take(pa.array(upserts)), old.take(pa.array(gone)))


def last_rows(ids: pa.Array) -> pa.Array:
    """The last row of each id, ascending."""
    codes = ids.dictionary_encode().indices.to_numpy()
    last = np.zeros(int(codes.max()) + 1 if len(codes) else 0, np.int64)
    last[codes] = np.arange(len(codes))  # of several assignments the last one stays
    return pa.array(np.sort(last))


def _unlike(old: pa.RecordBatch, new: pa.RecordBatch, vector_columns: Collection[str]) -> npt.NDArray[np.bool_]:
    """Whether each row differs, bool (n,)."""
    unlike = np.zeros(len(old), bool)
    for name in vector_columns:
        unlike |= (stored_codes(old.column(name)) != stored_codes(new.column(name))).any(axis=1)
    rest = np.flatnonzero(~unlike)
    payload = [name for name in old.schema.names if name not in vector_columns]
    one, other = (batch.select(payload).take(pa.array(rest)) for batch in (old, new))
    unlike[rest[list(_unequal_rows(one, other, 0, len(rest)))]] = True
    return unlike


def _unequal_rows(old: pa.RecordBatch, new: pa.RecordBatch, start: int, stop: int) -> Iterator[int]:
    """The rows from `start` to `stop` that differ, found by halving: Arrow compares ranges of any type, nested too."""
    if start == stop or old.slice(start, stop - start).equals(new.slice(start, stop - start)):
        return
    if stop - start == 1:
        yield start
        return
    middle = (start + stop) // 2
    yield from _unequal_rows(old, new, start, middle)
    yield from _unequal_rows(old, new, middle, stop)
