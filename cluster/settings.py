"""Where a command runs (pydantic only: importing this does not import ray)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: More than any cluster has of anything; Ray counts in floats, which hold it exactly.
_MOST = 1 << 53


class ClusterSection(BaseModel):
    """The Ray cluster and the share of it that a command may use."""

    # With a length to look at, pydantic refuses texts that are not UTF-8, which could not be written as JSON.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, str_min_length=0
    )

    address: str = "local"
    """`local` starts Ray on this machine for the length of the command; `auto` or `host:port` joins a running cluster.
    A submitted command always joins the cluster that it was submitted to."""
    workers: int = Field(default=2, ge=1, le=_MOST)
    """Worker processes of fit (data-parallel ranks) and, at most, actors of compress, evaluate and verify."""
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
