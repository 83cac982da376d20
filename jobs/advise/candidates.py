"""What advise chooses from: every way to store the adaptor's vectors in fewer bytes than they take now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adaptor.baselines import ADAPTOR, METHODS, Column, float32_bytes
from adaptor.settings import Metric
from jobs.config.databases import Database, Held
from jobs.search.columns import Columns
from jobs.search.rescoring import two_stages


@dataclass(frozen=True)
class Candidate:
    """A dim and an encoding of a method, with the bytes of a vector. `column` is what was measured of it. Where only
    some bytes are searched, the nearest are scored again: by a second column, `rescored_by`, or by the floats that the
    database has made the codes of."""

    column: Column
    encoding: str
    bytes: int
    searched_bytes: int
    rescored_by: Column | None = None

    @property
    def dim(self) -> int:
        """How many numbers the code stands for."""
        return self.column.dim

    def __str__(self) -> str:
        """As it is shown: `int2 x 256`, or `binary x 384 > float16 x 192`."""
        name, _, second = self.column.encoding.partition(" > ") if self.rescored_by else (self.column.encoding, "", "")
        return f"{name if self.column.method == ADAPTOR else self.encoding} x {self.dim}{second and f' > {second}'}"

    @property
    def record(self) -> dict[str, Any]:
        """As advice.json spells it."""
        second = self.rescored_by
        by = None if second is None else {"dim": second.dim, "encoding": second.encoding}
        numbers = {"bytes": self.bytes, "searched_bytes": self.searched_bytes}
        return {"dim": self.dim, "encoding": self.encoding, **numbers, "rescore": by}


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Rows of a source, dimension and bytes of its vectors."""

    rows: int
    input_dim: int
    vector_bytes_now: int
    metric: Metric

    def total_bytes(self, candidate: Candidate) -> int:
        """Bytes of all vectors, without ids and payload."""
        return self.rows * candidate.bytes

    def flops(self, dim: int) -> int:
        """Operations of one comparison: a multiplication and an addition per number, for l2 also a subtraction."""
        return (3 if self.metric == "l2" else 2) * dim


def candidates(columns: Columns, vector_bytes_now: int, database: Database | None = None) -> dict[str, list[Candidate]]:
    """By method what is smaller than what is stored now, by bytes: all of the adaptor; of the others float16, which
    searches like float32, or float32 in a database without float16."""
    own = [_floats(Column(ADAPTOR, dim), "float32") for dim in _float_dims(columns, "float32", database)]
    for column, stored in columns.stored.items():
        own.append(Candidate(column, stored.held.encoding, stored.bytes_per_vector, stored.searched_bytes))
    for stages in (stages for stages in two_stages(columns) if not stages.inside):
        searched, second = columns.bytes_of(stages.first), columns.bytes_of(stages.second)
        own.append(
            Candidate(stages.column, stages.first.encoding, searched + second, searched, rescored_by=stages.second)
        )
    found = {ADAPTOR: own}
    encoding = "float16" if _kind(database, "float16") else "float32"
    for method in METHODS[:-1]:
        columns_of = [Column(method, dim) for dim in _float_dims(columns, encoding, database)]
        found[method] = [_floats(column, encoding) for column in columns_of]
    return {
        method: sorted((c for c in some if c.bytes < vector_bytes_now), key=lambda c: (c.bytes, c.dim))
        for method, some in found.items()
    }


def _floats(column: Column, encoding: str) -> Candidate:
    size = float32_bytes(column) // (2 if encoding == "float16" else 1)
    return Candidate(column, encoding, size, size)


def _kind(database: Database | None, encoding: str) -> Held | None:
    """How the database holds floats of this encoding; without a database they may be stored anywhere."""
    if database is None:
        return Held(encoding)
    kinds = (kind for kind in database.held if kind.name == encoding)
    return next(kinds, Held("float32") if encoding == "float32" else None)


def _float_dims(columns: Columns, encoding: str, database: Database | None) -> list[int]:
    kind = _kind(database, encoding)
    most = columns.adaptor.input_dim if kind is None or kind.most_dims is None else kind.most_dims
    return [dim for dim in columns.dims if dim <= most]
