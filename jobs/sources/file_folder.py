"""What formats without a log of their own share: the files of one kind below a prefix, each a shard."""

from __future__ import annotations

from adaptor.errors import InputError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.sources.file_list import read_list
from jobs.sources.file_selection import check, check_listed, select
from jobs.sources.source import Shard
from jobs.sources.table_logs import table_log, table_log_above
from jobs.storage.objects import ObjectInfo, Objects
from jobs.storage.open import open_file_or_folder


class FileFolder:
    """The files of one `kind` below `section.uri`, which may itself be one; the part of a `Source` that lists them."""

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str, kind: str) -> None:
        self.uri = section.uri
        self.objects = open_file_or_folder(section.uri, section.filesystem)
        self._section, self._setting, self._kind = section, setting, kind
        self._notes: list[str] = []

    def shards(self) -> list[Shard]:
        """Every file of the kind that `files` takes, sorted by key.

        `InputError`: there is none; the folder is that of a table; most files are hidden by their names; a name is not
        UTF-8, which neither Arrow nor JSON take.
        """
        infos, files = list(self.objects.list()), self._section.files
        if files.table_log == "stop" and self.objects.only is None:
            log = table_log(info.key for info in infos) or table_log_above(self.uri, self._section.filesystem)
            if log is not None:
                raise log.refusal(self.uri, self._setting)
        selection = select(self.objects, infos, files, self._listed(infos), self._kind)
        self._notes = selection.notes()
        check(selection, self.uri, self._setting, self._kind)
        if files.list_uri is None and files.table_log == "stop" and self.objects.only is None:
            self._check_manifests([info.key for info in infos], [info.key for info in selection.taken])
        for info in selection.taken:
            raw = info.key.encode(errors="surrogateescape")
            if raw.decode(errors="replace") != info.key:
                raise InputError(f"{self.uri}: the file name {raw!r} is not UTF-8: rename the file")
        return [Shard(info.key, info.size, info.version) for info in selection.taken]

    def snapshot(self) -> str | None:
        """Files have none."""
        return None

    def notes(self) -> list[str]:
        """What the last listing left out."""
        return self._notes

    def has(self, key: str) -> bool:
        """Whether there is a file of this name now that counts."""
        info = self.objects.stat(key)
        if info is None:
            return False
        return bool(select(self.objects, [info], self._section.files, self._listed_keys(), self._kind).taken)

    def check_unchanged(self, shard: Shard) -> None:
        """`InputError` when the file has another size or version by now."""
        check_unchanged(self.objects, shard)

    def _check_manifests(self, there: list[str], taken: list[str]) -> None:
        """`InputError` when a manifest of Redshift's UNLOAD does not name a file beside it: that is of no finished
        write."""
        for key in (key for key in there if key.endswith("manifest")):
            folder = key.rpartition("/")[0]
            try:
                if not self.objects.read(key).lstrip().startswith(b"{"):
                    continue
                named = read_list(f"{self.uri.rstrip('/')}/{key}", self.uri, self._section.filesystem, self._setting)
            except InputError:  # another kind of file, or one that names other places
                continue
            beside = [other for other in taken if other.rpartition("/")[0] == folder and other not in named]
            if beside:
                raise InputError(
                    f"{self.uri}: {key} does not name {', '.join(beside[:3])}{', …' if len(beside) > 3 else ''}, which "
                    f"may be of an unfinished write: set {self._setting}.files.list_uri to it, or "
                    f"{self._setting}.files.table_log: ignore to read every file there"
                )

    def _listed(self, infos: list[ObjectInfo]) -> set[str] | None:
        keys = self._listed_keys()
        if keys is not None:
            check_listed(keys, infos, str(self._section.files.list_uri))
        return None if keys is None else set(keys)

    def _listed_keys(self) -> dict[str, int | None] | None:
        list_uri = self._section.files.list_uri
        if list_uri is None:
            return None
        return read_list(list_uri, self.uri, self._section.filesystem, self._setting)


def check_unchanged(objects: Objects, shard: Shard) -> None:
    """`InputError` when the file of the shard has another size or version by now."""
    now = objects.stat(shard.key)
    if now is None:
        raise InputError(f"{objects.uri}: {shard.key} was removed while it was read: run the command again")
    # Drivers without versions give an empty one: the size alone decides.
    if now.size != shard.size or (shard.version and now.version != shard.version):
        raise InputError(
            f"{objects.uri}: {shard.key} changed while it was read (size {shard.size} → {now.size} bytes, "
            f"version {shard.version} → {now.version}): run the command again"
        )
