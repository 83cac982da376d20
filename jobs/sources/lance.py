"""Lance datasets (pylance): every fragment of one version is a shard, without its deleted rows."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.config.uris import scheme_of
from jobs.runtime.plural import plural
from jobs.sources.row_groups import cut, rows_of
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo
from jobs.sources.table_storage import object_store_options
from jobs.storage.open import open_objects

if TYPE_CHECKING:
    from lance import LanceDataset, LanceFragment

_KEY = re.compile(r"fragment-(\d+)")


class LanceSource:
    """The fragments of a version of the dataset at `section.uri`; a `Source`."""

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        self.uri = section.uri
        self._section, self._setting = section, setting

    def shards(self) -> list[Shard]:
        """The fragments. `InputError` when there is no such dataset or version, or none."""
        shards = [self._shard(fragment) for fragment in self._fragments.values()]
        if not shards:
            raise InputError(f"{self.uri} ({self._title}) holds no rows: check {self._setting}.uri")
        return sorted(shards, key=lambda shard: shard.key)

    def snapshot(self) -> str | None:
        """The version that is read."""
        return str(self._dataset.version)

    def notes(self) -> list[str]:
        """Which version is read."""
        partly = sum(fragment.num_deletions > 0 for fragment in self._fragments.values())
        rows = f", {partly:,} of them without the rows that were deleted since" if partly else ""
        return [f"{self._title} is read: {plural(len(self._fragments), 'fragments')}{rows}"]

    def has(self, key: str) -> bool:
        """Whether the version has such a fragment."""
        match = _KEY.fullmatch(key)
        return match is not None and int(match[1]) in self._fragments

    def describe(self, shard: Shard) -> ShardInfo:
        """Live rows, cut into runs that can be read alone."""
        rows = self._fragment(shard).count_rows()
        groups = cut(rows)
        return ShardInfo(rows, groups, tuple(shard.size * group // max(1, rows) for group in groups), self._schema)

    def read(
        self,
        shard: Shard,
        row_groups: Iterable[int],
        batch_rows: BatchRows,
        columns: Sequence[str] | None = None,
        *,
        plain: bool = False,
    ) -> Iterator[Batch]:
        """As `Source.read`."""
        fragment, schema = self._fragment(shard), self._schema
        names = list(schema.names if columns is None else columns)
        rows = fragment.count_rows()
        for group in row_groups:
            done, group_rows = rows_of(group, rows)
            first = 0
            while first < group_rows:
                size = min(batch_rows() if callable(batch_rows) else batch_rows, group_rows - first)
                table = self._scan(shard, fragment, names, done + first, size)
                if table.num_rows != size:
                    raise InputError(f"{self.uri}: {shard.key} gave {table.num_rows} rows, not {size}: it is damaged")
                yield Batch(group, first, table)
                first += size

    def check_unchanged(self, shard: Shard) -> None:
        """Versions never change."""
        self._fragment(shard)

    def _scan(self, shard: Shard, fragment: LanceFragment, names: list[str], first: int, rows: int) -> pa.RecordBatch:
        try:
            table = fragment.scanner(columns=names, offset=first, limit=rows).to_table().combine_chunks()
        except (OSError, ValueError) as error:
            where = f"{self.uri}: {shard.key}, after row {first}"
            if isinstance(error, OSError) and "LanceError(IO)" in str(error):
                raise RunError(f"{where}: could not be read: {error}") from error
            raise InputError(f"{where}: the data is damaged, write the dataset again ({error})") from error
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)

    def _fragment(self, shard: Shard) -> LanceFragment:
        match = _KEY.fullmatch(shard.key)
        fragment = self._fragments.get(int(match[1])) if match else None
        if fragment is None or self._shard(fragment) != shard:
            raise InputError(
                f"{self.uri}: {shard.key} is no longer what it was when the dataset was listed ({self._title} is read "
                "now): run the command again"
            )
        return fragment

    def _shard(self, fragment: LanceFragment) -> Shard:
        files = [(file.path, file.file_size_bytes or 0) for file in fragment.metadata.files]
        state = f"{files} {fragment.metadata.deletion_file} {fragment.num_deletions} {self._schema}"
        version = hashlib.sha256(state.encode()).hexdigest()[:16]
        return Shard(f"fragment-{fragment.fragment_id:08}", sum(size for _, size in files), version)

    @property
    def _title(self) -> str:
        return f"version {self._dataset.version} of the Lance dataset"

    @cached_property
    def _schema(self) -> pa.Schema:
        return self._dataset.schema

    @cached_property
    def _fragments(self) -> dict[int, LanceFragment]:
        return {fragment.fragment_id: fragment for fragment in self._dataset.get_fragments()}

    @cached_property
    def _dataset(self) -> LanceDataset:
        import lance

        # Ray and we fork only to run another program, which is safe.
        warnings.filterwarnings("ignore", message="lance is not fork-safe")
        version = self._section.snapshot if isinstance(self._section, SourceSection) else None
        if version is not None and not version.isdecimal():
            raise InputError(f"{self._setting}.snapshot is {version!r}: a version of a Lance dataset is a number")
        local = scheme_of(self.uri) in ("", "file")
        objects = open_objects(self.uri, self._section.filesystem)
        uri = objects.path("x").removesuffix("/x") if local else self.uri.rstrip("/")
        options = object_store_options(self.uri, self._section.filesystem)
        try:
            return lance.dataset(uri, None if version is None else int(version), storage_options=options)
        except (ValueError, OSError) as error:
            if next(iter(objects.list("_versions/")), None) is None:
                raise InputError(f"{self.uri} is no Lance dataset: check {self._setting}.uri") from error
            raise InputError(
                f"{self.uri}: version {version or '(newest)'} of the Lance dataset cannot be read: {error}"
            ) from error
