"""Which of the files below a prefix are shards, and an account of all the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from adaptor.errors import InputError
from jobs.config.sections import FilesSection
from jobs.sources.file_kinds import ADVICE, PARQUET, REFUSED, kinds, looks_parquet
from jobs.storage.objects import ObjectInfo, Objects

#: Files of a group that are named.
_NAMED = 3
_HIDDEN, _EXCLUDED = "with names that begin with '_' or '.'", "left out by files.exclude"
_NOT_INCLUDED, _NOT_LISTED = "that no pattern of files.include takes", "that files.list_uri does not name"


@dataclass
class Selection:
    """The files taken, sorted by key, and the keys of the others by why they are not."""

    taken: list[ObjectInfo] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def notes(self) -> list[str]:
        """A line that counts and names what lies there and is not read; none when everything is."""
        count = sum(map(len, self.left_out.values()))
        if not count:
            return []
        groups = (f"{len(keys):,} {reason} ({_some(keys)})" for reason, keys in sorted(self.left_out.items()))
        return [f"{count:,} {'file is' if count == 1 else 'files are'} not read: {', '.join(groups)}"]


def select(
    objects: Objects, infos: Sequence[ObjectInfo], files: FilesSection, listed: Iterable[str] | None, wanted: str
) -> Selection:
    """Sort the files of a listing: those of the kind `wanted` are taken, of the `listed` keys only where there is a
    list. A list, and a pattern that itself begins with `_` or `.`, wins over the rule for hidden names."""
    selection, chosen = Selection(), []
    named = None if listed is None else frozenset(listed)
    for info in infos:
        reason = _why_not(info.key, files, named)
        if reason is None:
            chosen.append(info)
        else:
            selection.left_out[reason].append(info.key)
    found = kinds(objects, chosen)
    for info in chosen:
        if found[info.key] in (wanted, REFUSED):  # left out, its rows would seem to have left the source
            selection.taken.append(info)
        elif listed is not None:
            raise InputError(f"{objects.uri}: {info.key} is listed, but no {wanted} file: take it off the list")
        else:
            selection.left_out[f"of the kind {found[info.key]}"].append(info.key)
    return selection


def check(selection: Selection, uri: str, setting: str, wanted: str) -> None:
    """`InputError` when no file is taken, or when more files that look like Parquet are hidden than are taken."""
    hidden = [key for key in selection.left_out.get(_HIDDEN, ()) if looks_parquet(key)]
    if not selection.taken:
        there = "; ".join(selection.notes()) or "nothing is there"
        advice = next((ADVICE[kind] for kind in _kinds_of(selection.left_out) if kind in ADVICE), None)
        remedy = f"{advice}, or check {setting}.uri" if advice else f"check {setting}.uri"
        raise InputError(
            f"{uri} does not exist or holds no {wanted} file ({there}; files and folders that start with '_' or '.' do "
            f"not count unless {setting}.files.include names them): {remedy}"
        )
    if wanted == PARQUET and len(hidden) > len(selection.taken):
        raise InputError(
            f"{uri}: more Parquet files are hidden by their names ({len(hidden):,}: {_some(hidden)}) than are read "
            f"({len(selection.taken):,}): take them with {setting}.files.include, or say with {setting}.files.exclude "
            "that they do not count"
        )


def check_listed(listed: Mapping[str, int | None], infos: Sequence[ObjectInfo], list_uri: str) -> None:
    """`InputError` when a file of the list is missing, or has another size than the list says."""
    sizes = {info.key: info.size for info in infos}
    for key, size in listed.items():
        if key not in sizes:
            raise InputError(f"{list_uri} names {key}, which does not exist: correct the list or restore the file")
        if size is not None and size != sizes[key]:
            raise InputError(f"{list_uri} says that {key} has {size} bytes, it has {sizes[key]}: write it again")


def is_hidden(key: str) -> bool:
    """Whether a part of the key begins with `.`, or with `_` and is no partition such as `_date=2024-01-01` (the rule
    of Spark)."""
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in key.split("/"))


def _why_not(key: str, files: FilesSection, listed: frozenset[str] | None) -> str | None:
    """Why a file is not even looked at; None when it is."""
    if any(_matches(key, pattern) for pattern in files.exclude):
        return _EXCLUDED
    if listed is not None:
        return None if key in listed else _NOT_LISTED
    included = [pattern for pattern in files.include if _matches(key, pattern)]
    if is_hidden(key) and not any(is_hidden(pattern) for pattern in included):
        return _HIDDEN
    return _NOT_INCLUDED if files.include and not included else None


def _matches(key: str, pattern: str) -> bool:
    """Whether a pattern names the file, or a folder that it is in."""
    return fnmatchcase(key, pattern) or fnmatchcase(key, f"{pattern.rstrip('/')}/*")


def _kinds_of(reasons: Iterable[str]) -> Iterator[str]:
    yield from (reason.removeprefix("of the kind ") for reason in reasons)


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:_NAMED]) + (", …" if len(keys) > _NAMED else "")
    return shown.encode(errors="backslashreplace").decode()  # names need not be UTF-8
