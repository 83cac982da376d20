"""Opening the adaptor that a command is told to use."""

from __future__ import annotations

from collections.abc import Sequence

from adaptor.artefact import Adaptor, from_files
from adaptor.errors import InputError
from adaptor.identity import FILES
from jobs.config.sections import ArtefactSection, CompressArtefactSection, StoreSection
from jobs.storage.open import open_objects

#: Most bytes of one of its files: the folded matrix of 8,192 dimensions is a quarter of it.
_LIMIT = 1 << 30


def open_adaptor(section: ArtefactSection, store: StoreSection) -> Adaptor:
    """Load the adaptor.

    `InputError` when it is absent or damaged, fitted for another metric, or gives fewer columns than asked.
    """
    objects = open_objects(section.uri, section.filesystem)
    there = [name for name in FILES if objects.stat(name) is not None]
    adaptor = from_files({name: objects.read(name, _LIMIT) for name in there}, section.uri)
    if adaptor.metric != store.metric:
        raise InputError(
            f"store.metric is {store.metric}, but the adaptor in {section.uri} was fitted for {adaptor.metric}: "
            f"set store.metric: {adaptor.metric} if that is how the store is searched, "
            f"or fit an adaptor for {store.metric}"
        )
    if isinstance(section, CompressArtefactSection) and section.width > adaptor.dim:
        raise InputError(
            f"adaptor.width is {section.width}, but the adaptor in {section.uri} gives at most {adaptor.dim} columns: "
            f"set a width from 1 to {adaptor.dim} (trained: {', '.join(map(str, adaptor.widths))})"
        )
    return adaptor


def beyond_the_narrow_map(adaptor: Adaptor, widths: Sequence[int]) -> str:
    """Words on widths between the widest output of the narrow map and the next trained width; nothing on others.

    Their columns are the start's (PCA), which may keep less than fewer columns of the map do.
    """
    narrow = adaptor.narrow_width
    following = min((w for w in adaptor.widths if w > narrow), default=adaptor.dim)
    between = ", ".join(str(width) for width in widths if 0 < narrow < width < following)
    return f"; {narrow} columns, the widest with a map of their own, may keep more than {between}" if between else ""
