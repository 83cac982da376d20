"""Settings of the model and its training, as plain data (pydantic only: importing this needs neither torch nor ray)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Metric = Literal["cosine", "dot", "l2"]
Architecture = Literal["linear", "mlp"]

#: Dims fitted when none are given: the ones people ask for, up to the dimension of the source.
DIM_LADDER = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)

#: More than any source has of anything; and a float, and 64 bits with some sums, still hold it exactly.
_MOST = 1 << 53


class Settings(BaseModel):
    """A frozen section in which unknown keys are errors and each field's docstring is its help text."""

    # With a length to look at, pydantic refuses texts that are not UTF-8, which could not be written as JSON.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, str_min_length=0
    )

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, int) and number > _MOST for number in numbers):
            raise ValueError(f"must be at most {_MOST}")
        return value


class AdaptorSection(Settings):
    """The adaptor `ê = e + f(e)`: by which recipe it is learned, and for which outputs."""

    recipe: Literal["default", "paper"] = "default"
    """What is learned and how: `default` (a matrix from the PCA axes, list-wise distillation) or `paper` (arXiv
    2407.20243 as published). It also says what training and mining do where these are not given."""
    dims: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Trained dims, ascending, each at most the source's dimension; null takes the usual dims (16, 32, 64, 96, 128
    …)."""

    @model_validator(mode="after")
    def _dims_ascend(self) -> Self:
        dims = self.dims
        if dims is not None and (dims[0] < 1 or any(a >= b for a, b in pairwise(dims))):
            raise ValueError(f"dims must be positive and strictly ascending, got {list(dims)}")
        return self


class ModelSettings(Settings):
    """Of a recipe: what f may be and where it starts."""

    architecture: Architecture = "linear"
    """What f is: `linear` (a free matrix; without labels full-dimension scores stay exact), or `mlp` (the paper's)."""
    initialisation: Literal["auto", "pca", "identity"] = "auto"
    """The map before the first step: the uncentred PCA rotation, or the identity; `auto`: the one whose prefixes rank
    the neighbours of held-out rows better."""
    hidden_units: int = Field(default=512, ge=1)
    """Hidden units of the `mlp` module."""


class LossSettings(Settings):
    """Of a recipe: the weight of each term of the objective; 0 leaves the term out."""

    listwise: float = Field(default=1.0, ge=0)
    """List-wise distillation: cross-entropy between the full-dimension and the prefix ranking of the candidates."""
    topk: float = Field(default=0.0, ge=0)
    """Absolute change of similarity to the mined neighbours (paper, equation for L_topk)."""
    pairwise: float = Field(default=0.0, ge=0)
    """Absolute change of similarity over all pairs of a batch (paper, L_pair; its weight alpha)."""
    reconstruction: float = Field(default=0.0, ge=0)
    """Mean absolute change of the vector itself (paper, L_rec; its weight beta)."""
    ranking: float = Field(default=0.0, ge=0)
    """Supervised stage: the paper's logistic ranking loss over graded pairs (its weight gamma)."""
    contrastive: float = Field(default=0.25, ge=0)
    """Supervised stage: soft-max cross-entropy of a query's graded positives, taken together, against mined, random and
    in-batch negatives."""
    temperature: float = Field(default=0.45, gt=0)
    """Temperature of the soft-max terms, in standard deviations of the similarities of a row to all others."""


class TrainingSection(Settings):
    """How the adaptor is trained."""

    steps: int = Field(default=1200, ge=0)
    """Most optimisation steps of the stage that learns from rows (0 keeps the initial map)."""
    query_steps: int = Field(default=800, ge=0)
    """Most steps of the stage that learns from queries, with labels or without."""
    batch: int = Field(default=128, ge=2)
    """Anchors (documents, or labelled queries) per step, over all workers together."""
    learning_rate: float = Field(default=12e-3, gt=0)
    """Peak learning rate of Adam for up to 192 trained components; less for more, by the square root."""
    evaluate_every: int = Field(default=250, ge=1)
    """Steps between two scores of the held-out rows."""
    checkpoint_seconds: float = Field(default=5.0, ge=0)
    """Shortest time between two checkpoints; they are taken when the held-out rows are scored."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sample, the batches and the initial weights."""


class TrainingSettings(TrainingSection):
    """Of a recipe: the same, and what only the recipe says."""

    noise: float = Field(default=0.35, ge=0)
    """Most noise on an anchor without labels (its unit: training_set.py): queries lie beside documents, not on them."""
    candidates: int = Field(default=512, ge=0)
    """Random corpus vectors that each step's anchors are compared with, besides their neighbours."""
    supervised_learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the stage with labels."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate falls over the steps."""
    patience: int = Field(default=500, ge=1)
    """Steps without a better held-out score after which a stage stops: the one with labels, or one whose learning rate
    does not fall."""


class MiningSettings(Settings):
    """What is sampled from the source and which neighbours are mined."""

    sample_rows: int = Field(default=100_000, ge=20)
    """Rows drawn uniformly over all shards (fewer if the source has fewer); they must fit in the memory of a node."""
    held_out: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of the sample that training never sees (at most 2,000 rows); it chooses the weights and gives the
    evidence."""
    neighbours: int = Field(default=10, ge=1)
    """Nearest neighbours mined for each training row."""
    nprobe: int | None = Field(default=None, ge=1)
    """Search them approximately, looking into so many cells of an IVF index, and say how many of the true ones were
    found; exactly when not given. For samples of millions of rows."""
    max_row_groups: int = Field(default=4096, ge=1)
    """Row groups read for the sample at most: a larger source is sampled in two stages (row groups, then rows)."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What a null, NaN, infinite, zero or wrong-length vector in the sample does: end the fit, or be left out and
    counted."""
