"""What evaluate and advise require of the adaptor before they read at length: that it is whole and fits the store."""

from __future__ import annotations

from collections.abc import Sequence

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.adaptors import beyond_the_narrow_map
from jobs.config.advise import AdviseConfig
from jobs.config.commands import EvaluateConfig
from jobs.sources.dimension import dimension
from jobs.sources.parquet import Shard, read_footer
from jobs.storage.open import open_objects


def chosen_widths(config: EvaluateConfig, adaptor: Adaptor) -> tuple[int, ...]:
    """The widths to compare, ascending: those of the config, else the trained ones. Raises InputError outside 1..d."""
    widths = config.evaluation.widths
    return adaptor.widths if widths is None else possible("evaluation.widths", widths, adaptor)


def possible(field: str, widths: Sequence[int], adaptor: Adaptor) -> tuple[int, ...]:
    """The widths of a field, ascending. Raises InputError when there are none, or one outside 1..d."""
    if not widths or not all(1 <= width <= adaptor.dim for width in widths):
        raise InputError(
            f"{field} is {list(widths)}: give widths from 1 to {adaptor.dim}, the dimension of the adaptor"
        )
    return tuple(sorted(set(widths)))


def untrained(widths: Sequence[int], adaptor: Adaptor) -> list[str]:
    """What to tell of widths that the adaptor was not trained for."""
    others = [width for width in widths if width not in adaptor.widths]
    if not others:
        return []
    named = ", ".join(map(str, others))
    return [f"the adaptor was not trained for width {named}{beyond_the_narrow_map(adaptor, others)}"]


def check_dimension(config: EvaluateConfig | AdviseConfig, adaptor: Adaptor, shards: list[Shard]) -> None:
    """Raise InputError when the vectors of the store have another dimension than the adaptor takes."""
    objects = open_objects(config.store.uri, config.store.filesystem)
    first = next((s, f) for s in shards if (f := read_footer(objects, s, config.store)).rows or s is shards[-1])
    dim = dimension(config.store, [first[0]], [first[1]])
    if dim != adaptor.dim:
        raise InputError(
            f"the adaptor in {config.adaptor.uri} takes {adaptor.dim} dimensions, the vectors of {config.store.uri} "
            f"have {dim}: give the adaptor that was fitted on this store"
        )
