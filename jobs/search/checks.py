"""What evaluate and advise require of the adaptor before they read at length: that it is whole and fits the source."""

from __future__ import annotations

from collections.abc import Sequence

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.adaptors import beyond_the_head
from jobs.config.advise import AdviseConfig
from jobs.config.commands import EvaluateConfig
from jobs.sources.columns import describe_vectors
from jobs.sources.dimension import dimension
from jobs.sources.source import Shard, open_source


def chosen_dims(config: EvaluateConfig, adaptor: Adaptor) -> tuple[int, ...]:
    """The dims to compare, ascending: those of the config, else the trained ones. Raises InputError outside 1..d."""
    dims = config.evaluation.dims
    return adaptor.dims if dims is None else possible("evaluation.dims", dims, adaptor)


def possible(field: str, dims: Sequence[int], adaptor: Adaptor) -> tuple[int, ...]:
    """The dims of a field, ascending. Raises InputError when there are none, or one outside 1..d."""
    if not dims or not all(1 <= dim <= adaptor.input_dim for dim in dims):
        raise InputError(
            f"{field} is {list(dims)}: give dims from 1 to {adaptor.input_dim}, the dimension of the adaptor"
        )
    return tuple(sorted(set(dims)))


def untrained(dims: Sequence[int], adaptor: Adaptor) -> list[str]:
    """What to tell of dims that the adaptor was not trained for."""
    others = [dim for dim in dims if dim not in adaptor.dims]
    if not others:
        return []
    named = ", ".join(map(str, others))
    return [f"the adaptor was not trained for dim {named}{beyond_the_head(adaptor, others)}"]


def check_dimension(config: EvaluateConfig | AdviseConfig, adaptor: Adaptor, shards: list[Shard]) -> None:
    """Raise InputError when the vectors of the source have another dimension than the adaptor takes."""
    source, section = open_source(config.source), config.source
    first = next((s, i) for s in shards if (i := describe_vectors(source, s, section)).rows or s is shards[-1])
    input_dim = dimension(source, section, [first[0]], [first[1]])
    if input_dim != adaptor.input_dim:
        raise InputError(
            f"the adaptor in {config.adaptor.uri} takes {adaptor.input_dim} dimensions, the vectors of "
            f"{config.source.uri} "
            f"have {input_dim}: give the adaptor that was fitted on this source"
        )
