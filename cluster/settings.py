"""Where a command runs (pydantic only: importing this does not import ray)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

#: More than any cluster has of anything; Ray counts in floats, which hold it exactly.
_MOST = 1 << 53


@dataclass(frozen=True)
class WorkerRange:
    """As many workers as the cluster has room for: `min` to start with, `max` as nodes join."""

    min: int
    max: int


_NUMBER = TypeAdapter(Annotated[int, Field(ge=1, le=_MOST)])
_RANGE = re.compile(r"\s*(\d+)\s*\.\.\s*(\d+)\s*")


def _workers(value: Any) -> int | WorkerRange:
    """A number, or a range as `{min, max}` or `MIN..MAX`. Raises what pydantic makes an error of the field."""
    if isinstance(value, WorkerRange):
        value = {"min": value.min, "max": value.max}
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        value = dict(zip(("min", "max"), match.groups(), strict=True))
    try:
        if not isinstance(value, dict):
            return _NUMBER.validate_python(value)
        if value.keys() != {"min", "max"}:
            raise ValueError("must be a number, or have min and max and nothing else")
        found = WorkerRange(*(_NUMBER.validate_python(value[name]) for name in ("min", "max")))
    except ValidationError as invalid:
        first = invalid.errors()[0]
        raise PydanticCustomError(first["type"], first["msg"]) from invalid
    if found.min > found.max:
        raise ValueError(f"must have a min that is at most its max, got {found.min} and {found.max}")
    return found


def _written(workers: int | WorkerRange) -> Any:
    return workers if isinstance(workers, int) else asdict(workers)


class ClusterSection(BaseModel):
    """The Ray cluster and the share of it that a command may use."""

    # With a length to look at, pydantic refuses texts that are not UTF-8, which could not be written as JSON.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, str_min_length=0
    )

    address: str = "local"
    """`local` starts Ray on this machine for the length of the command; `auto` or `host:port` joins a running cluster.
    A submitted command always joins the cluster that it was submitted to."""
    workers: Annotated[int | WorkerRange, PlainValidator(_workers), PlainSerializer(_written)] = 2
    """Worker processes: a number, or `{min, max}` (MIN..MAX as a flag) for a cluster that grows and shrinks. Fit takes
    what is there when it starts; compress, evaluate and verify take what joins, too, and go on without what leaves."""
    gpus_per_worker: float = Field(default=0, ge=0, le=_MOST)
    """GPUs reserved for each worker; above 0, training uses NCCL and transforms run on the GPU."""
    cpus_per_worker: int = Field(default=1, ge=1, le=_MOST)
    """CPU cores reserved for each worker; its numeric libraries use as many threads."""
    max_failures: int = Field(default=3, ge=0, le=_MOST)
    """How often fit restarts its workers after one of them died before the run fails."""
    stalled_seconds: float = Field(default=3600.0, gt=0)
    """How long training of fit may take no new step before the run fails; run again, it goes on from its checkpoint."""
    log: Literal["text", "json"] = "text"
    """Progress and log lines on standard error: for people, or one JSON object a line for those who collect them."""

    @property
    def min_workers(self) -> int:
        """How many workers there must be room for when a command starts."""
        return self.workers.min if isinstance(self.workers, WorkerRange) else self.workers

    @property
    def max_workers(self) -> int:
        """How many workers may be used at most."""
        return self.workers.max if isinstance(self.workers, WorkerRange) else self.workers
