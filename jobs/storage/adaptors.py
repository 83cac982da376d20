"""Opening the adaptor of a command."""

from __future__ import annotations

from collections.abc import Sequence

from adaptor.artefact import Adaptor, from_files
from adaptor.errors import InputError
from adaptor.identity import FILES
from jobs.config.sections import ArtefactSection, SourceSection
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

#: Most bytes of one of its files: the folded matrix of 8,192 dimensions is a quarter of it.
_LIMIT = 1 << 30


def read_adaptor(objects: Objects) -> Adaptor:
    """The adaptor of these files. Raises InputError as `adaptor.load` does."""
    names = [name for name in FILES if objects.stat(name) is not None]
    return from_files({name: objects.read(name, _LIMIT) for name in names}, objects.uri)


def open_adaptor(section: ArtefactSection, source: SourceSection) -> Adaptor:
    """Load the adaptor.

    `InputError` when it is absent or damaged, or fitted for another metric.
    """
    objects = open_objects(section.uri, section.filesystem)
    adaptor = read_adaptor(objects)
    if adaptor.metric != source.metric:
        raise InputError(
            f"source.metric is {source.metric}, but the adaptor in {section.uri} was fitted for {adaptor.metric}: "
            f"set source.metric: {adaptor.metric} if that is how the source is searched, "
            f"or fit an adaptor for {source.metric}"
        )
    return adaptor


def beyond_the_head(adaptor: Adaptor, dims: Sequence[int]) -> str:
    """Words on dims between the widest output of the low-dimensional head and the next trained dim; nothing on others.

    Their columns are the initial ones (PCA), which may keep less than fewer columns of the head do.
    """
    head = adaptor.head_dim
    following = min((w for w in adaptor.dims if w > head), default=adaptor.input_dim)
    between = ", ".join(str(dim) for dim in dims if 0 < head < dim < following)
    return f"; {head} columns, the widest with a map of their own, may keep more than {between}" if between else ""


def untrained_dims(adaptor: Adaptor, dims: Sequence[int]) -> list[str]:
    """A sentence on the dims that the adaptor was not trained for, if there are any."""
    others = [dim for dim in dims if dim not in adaptor.dims]
    named, trained = (", ".join(map(str, group)) for group in (others, adaptor.dims))
    note = f"the adaptor was not trained for dim {named} (but for {trained}){beyond_the_head(adaptor, others)}"
    return [note] if others else []
