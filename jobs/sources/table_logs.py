"""Logs of tables beside the files: such a folder also holds files that no longer count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions
from jobs.config.uris import local_path, scheme_of
from jobs.storage.open import open_objects

#: What a table of this kind has among its files; what to do about it.
_LOGS = {
    "a Delta table": (re.compile(r"(^|/)_delta_log/"), "set {section}.format: delta"),
    "an Iceberg table": (
        re.compile(r"(^|/)metadata/[^/]+\.metadata\.json(\.gz)?$|(^|/)metadata/[^/]+\.gz\.metadata\.json$"),
        "set {section}.format: iceberg",
    ),
    "a Lance dataset": (re.compile(r"(^|/)_versions/[^/]+\.manifest$"), "set {section}.format: lance"),
    "a Hudi table": (
        re.compile(r"(^|/)\.hoodie/"),
        "Hudi is not read: write its present rows as Parquet (Spark: read.format('hudi')), or as a Delta or Iceberg "
        "table (Apache XTable)",
    ),
    "a Paimon table": (
        re.compile(r"(^|/)snapshot/snapshot-\d+$"),
        "Paimon is not read: write its present rows as Parquet (Spark: read.format('paimon'))",
    ),
    "a dataset of Hugging Face's save_to_disk": (
        re.compile(r"(^|/)data-\d{5}-of-\d{5}\.arrow$"),
        "its Arrow files are not read: write it as Parquet (datasets: load_from_disk(folder).to_parquet(…))",
    ),
    "a Databricks folder of a transactional write": (
        re.compile(r"(^|/)_committed_\d+$"),
        "name the files that count in {section}.files.list_uri (those added and not removed by _committed_*)",
    ),
}


@dataclass(frozen=True)
class TableLog:
    """A log that was found: the kind of table, the log's first file, and what to do."""

    kind: str
    key: str
    remedy: str

    def refusal(self, uri: str, section: str) -> InputError:
        """Why its files are not read as they lie there."""
        remedy = self.remedy.format(section=section)
        return InputError(
            f"{uri} is {self.kind} ({self.key}), not a folder of plain files: some of them may hold rows that were "
            f"deleted or replaced: {remedy}; {section}.files.table_log: ignore reads every file there as it is"
        )


def table_log(keys: Iterable[str]) -> TableLog | None:
    """The first log among these keys; None when there is none."""
    return next(_logs(keys), None)


def table_log_above(uri: str, options: FilesystemOptions) -> TableLog | None:
    """The log of a table that the folder `uri` is a part of: its `data` folder, or one of its partitions."""
    place = str(local_path(uri)) if scheme_of(uri) in ("", "file") else uri
    folder, _, name = place.rstrip("/").rpartition("/")
    while folder and not folder.endswith(":/") and ("=" in name or name == "data"):
        for prefix in ("_delta_log/", "metadata/", ".hoodie/"):
            with suppress(InputError, RunError):  # whoever may read a folder need not be allowed to read what is above
                above = open_objects(folder, options)
                if (log := table_log(info.key for info in above.list(prefix))) is not None:
                    return TableLog(log.kind, f"{folder}/{log.key}", f"{log.remedy} and uri: {folder}")
        folder, _, name = folder.rpartition("/")
    return None


def _logs(keys: Iterable[str]) -> Iterator[TableLog]:
    for key in keys:
        for kind, (pattern, remedy) in _LOGS.items():
            if pattern.search(key):
                yield TableLog(kind, key, remedy)
