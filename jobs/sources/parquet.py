"""The shards of a source: which files they are, what their footers say, and whether they still are what was planned."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.errors import InputError, RunError
from jobs.config.sections import SourceSection
from jobs.sources import int96
from jobs.sources.fast_parquet.tables import OpenShard
from jobs.sources.ids import is_id_type
from jobs.sources.vector_types import is_vector_type
from jobs.storage.objects import Objects

#: Extension types whose values are pickles: those of Ray and of Arrow before version 14.
_PICKLED = ("ray.data.arrow_pickled_object", "arrow.py_extension_type")

#: Footers that a driver reads at a time: small requests, that wait most of their time.
FOOTER_THREADS = 16


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a source as it was when it was listed."""

    key: str
    size: int
    version: str


@dataclass(frozen=True)
class Footer:
    """What a shard's footer says: rows, rows and uncompressed bytes of each row group, and the Arrow schema."""

    rows: int
    row_group_rows: tuple[int, ...]
    row_group_bytes: tuple[int, ...]
    schema: pa.Schema


def list_shards(objects: Objects, setting: str = "source.uri") -> list[Shard]:
    """Every `*.parquet` below the source, sorted by key, without parts that start with `_` or `.`.

    `InputError` when there is none, which covers a source that does not exist; `setting` names the field to correct. So
    it is for a name that is not UTF-8, which neither Arrow's readers nor JSON take.
    """
    shards = [Shard(info.key, info.size, info.version) for info in objects.list() if is_shard_key(info.key)]
    if not shards:
        raise InputError(
            f"{objects.uri} does not exist or holds no *.parquet file "
            f"(files and folders that start with '_' or '.' do not count): check {setting}"
        )
    for shard in shards:
        raw = shard.key.encode(errors="surrogateescape")
        if raw.decode(errors="replace") != shard.key:
            raise InputError(f"{objects.uri}: the file name {raw!r} is not UTF-8: rename the file")
    return shards


def is_shard_key(key: str) -> bool:
    """Whether an object of this name is a shard."""
    return key.endswith(".parquet") and not any(part.startswith(("_", ".")) for part in key.split("/"))


def open_parquet(objects: Objects, key: str) -> pq.ParquetFile:
    """Open a shard for streaming: buffered reads, nothing read ahead, checksums of pages checked where there are any.
    `InputError` when it is no whole Parquet file."""
    return open_shard(objects, key).parquet


def open_shard(objects: Objects, key: str) -> OpenShard:
    """The same with what reading vectors directly needs; a context manager, as a `ParquetFile` is."""
    path = objects.path(key)
    try:
        source = objects.arrow.open_input_file(path)
        parquet = pq.ParquetFile(
            source,
            buffer_size=objects.buffer_bytes,
            pre_buffer=False,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=int96.UNIT,
        )
        _ = parquet.schema_arrow  # made now, so that a schema that cannot be made is told apart from damaged data
        return OpenShard(source, parquet, objects.buffer_bytes, objects.requests_ahead)
    except FileNotFoundError as error:
        raise InputError(
            f"{objects.uri}: {key} does not exist any more: it was removed after the source was listed"
        ) from error
    except (pa.ArrowException, OSError) as error:
        if is_outage(error):
            raise RunError(f"{objects.uri}: {key} could not be read: {error}") from error
        raise InputError(f"{objects.uri}: {key} {_what_is_wrong(objects, key, error)}") from error
    except (ValueError, TypeError, KeyError) as error:  # from an extension type that does not know its own description
        raise InputError(f"{objects.uri}: {key} is a damaged Parquet file: {error}") from error


def is_outage(error: Exception) -> bool:
    """Whether reading failed because of the disk or the network, not because of what the file holds."""
    refused = isinstance(error, PermissionError) or "ACCESS_DENIED" in str(error)
    return isinstance(error, OSError) and not refused and (error.errno is not None or "AWS Error" in str(error))


def read_footer(objects: Objects, shard: Shard, source: SourceSection) -> Footer:
    """Read and check a shard's footer.

    `InputError` names the shard and says what is wrong: not Parquet, truncated, encrypted, id or vector column missing
    or of a type that cannot be one, values that are Python pickles.
    """
    with open_parquet(objects, shard.key) as file:
        metadata, schema = file.metadata, file.schema_arrow
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    where = f"{objects.uri}: {shard.key}"
    require_column(where, schema, source.id_column, "source.id_column")
    require_column(where, schema, source.vector_column, "source.vector_column")
    kind = schema.field(source.id_column).type
    if not is_id_type(kind):
        raise InputError(
            f"{where}: column '{source.id_column}' is of type {kind}: ids must be strings, integers or UUIDs"
        )
    kind = schema.field(source.vector_column).type
    if not is_vector_type(kind):
        raise InputError(
            f"{where}: column '{source.vector_column}' is of type {kind}: "
            "vectors must be a list, large_list or fixed_size_list of float16, float32 or float64"
        )
    for column in schema:
        if pickled := next(_pickled(column), None):
            raise InputError(
                f"{where}: column '{column.name}' is of the extension type {pickled}: its values are Python pickles, "
                "which could run code wherever they are read: store them as another type, or drop the column"
            )
    rows = tuple(group.num_rows for group in groups)
    return Footer(metadata.num_rows, rows, tuple(group.total_byte_size for group in groups), schema)


def unchanged(objects: Objects, shard: Shard) -> None:
    """Raise `InputError` when the shard is no longer the file that was planned; call it after reading the last row."""
    now = objects.stat(shard.key)
    if now is None:
        raise InputError(f"{objects.uri}: {shard.key} was removed while it was read: run the command again")
    # An empty version means that this driver gives none: then the size alone can tell.
    if now.size != shard.size or (shard.version and now.version != shard.version):
        raise InputError(
            f"{objects.uri}: {shard.key} changed while it was read "
            f"(size {shard.size} → {now.size} bytes, version {shard.version} → {now.version}): run the command again"
        )


def require_column(where: str, schema: pa.Schema, column: str, setting: str) -> None:
    """Raise `InputError` when the file has no such column, or more than one, listing those it has, near names first."""
    count = schema.names.count(column)
    if count == 1:
        return
    if count:
        raise InputError(f"{where}: {count} columns are named '{column}': rename all but one")
    near = difflib.get_close_matches(column, schema.names, n=20, cutoff=0.6)
    names = near + [name for name in schema.names if name not in near]
    shown = ", ".join(f"'{name}'" for name in names[:20]) + (" …" if len(names) > 20 else "")
    raise InputError(f"{where}: no column '{column}'; it has {shown or 'no columns'}: set {setting}")


def _pickled(field: pa.Field) -> Iterator[str]:
    """Names of the extension types in this field whose readers unpickle the values."""
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        name, kind = kind.extension_name, kind.storage_type
    else:  # a type that nobody here has registered
        name = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode(errors="replace")
    if name in _PICKLED:
        yield name
    for index in range(kind.num_fields):
        yield from _pickled(kind.field(index))


def _what_is_wrong(objects: Objects, key: str, error: Exception) -> str:
    """Tell the common cases apart by the magic bytes at both ends of the file."""
    try:
        with objects.arrow.open_input_file(objects.path(key)) as file:
            size = file.size()
            head = file.read_at(min(4, size), 0)
            tail = file.read_at(4, size - 4) if size >= 12 else b""
    except (pa.ArrowException, OSError) as second:
        return f"cannot be opened: {second}"
    if size == 0:
        return "is empty (0 bytes): write it again or remove it"
    if b"PARE" in (head, tail):
        return "is an encrypted Parquet file: decrypt it first"
    if head != b"PAR1":
        return f"is not a Parquet file (it begins with {head!r}): remove it or give it another ending"
    if tail != b"PAR1":
        return f"is truncated ({size} bytes, the Parquet footer is missing): write it again"
    return f"is a damaged Parquet file: {error}"
