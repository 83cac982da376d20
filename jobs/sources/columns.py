"""What a source's columns must be, whatever its format: one id, one vector, and no value that is code."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import SourceSection, VectorsSection
from jobs.sources.ids import is_id_type
from jobs.sources.source import Shard, ShardInfo, Source
from jobs.sources.struct_paths import inner_lists
from jobs.sources.vector_texts import is_text_type
from jobs.sources.vectors import decode, is_vector_type

#: Extension types whose values are pickles: those of Ray and of Arrow before version 14.
_PICKLED = ("ray.data.arrow_pickled_object", "arrow.py_extension_type")


#: Paths inside of a struct that are suggested.
_SUGGESTED = 3


def describe_vectors(source: Source, shard: Shard, section: SourceSection) -> ShardInfo:
    """Describe a shard whose vectors are to be read.

    `InputError` names the shard and the problem: id or vector column missing or of a type that cannot be one, values
    that are Python pickles; and as `Source.describe` does.
    """
    info = source.describe(shard)
    where = f"{source.uri}: {shard.key}"
    require_ids(where, info.schema, section.id_column, "source.id_column, or source.ids.kind: row_number")
    require_vectors(where, info.schema, section.vector_column, "source.vector_column", section.vectors)
    for column in info.schema:
        if pickled := next(_pickled(column), None):
            raise InputError(
                f"{where}: column '{column.name}' is of the extension type {pickled}: its values are Python pickles, "
                "which could run code wherever they are read: store them as another type, or drop the column"
            )
    return info


def dimension(source: Source, section: SourceSection, shards: Sequence[Shard], described: Sequence[ShardInfo]) -> int:
    """The source's dimension d: that of the column type, or the most common length in the first rows of the first
    shard that has any."""
    for shard, info in zip(shards, described, strict=True):
        kind = info.schema.field(section.vector_column).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        groups = range(len(info.row_group_rows))
        # Plainly: this is the driver, and a damaged file may end a process that reads it the fast way.
        for batch in source.read(shard, groups, 1024, [section.vector_column], plain=True):
            length = decode(batch.table.column(section.vector_column), None).vectors.shape[1]
            if length:
                return int(length)
    raise InputError(
        f"source {section.uri} holds no row with a vector in column {section.vector_column!r}: check source.uri and "
        "source.vector_column"
    )


def require_ids(where: str, schema: pa.Schema, column: str, setting: str) -> None:
    """Raise `InputError` unless one column has this name and can hold ids."""
    kind = require_column(where, schema, column, setting)
    if not is_id_type(kind):
        remedy = ""
        if pa.types.is_floating(kind):
            remedy = "; DuckDB's HUGEINT is stored so, and loses digits: cast it to BIGINT or VARCHAR"
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            remedy = "; bytes have no one way to be written: cast them to UUID, or to text as hex"
        raise InputError(
            f"{where}: column '{column}' is of type {kind}: ids must be strings, integers or UUIDs{remedy}"
        )


def require_vectors(where: str, schema: pa.Schema, column: str, setting: str, layout: VectorsSection) -> None:
    """Raise `InputError` unless one column has this name and can hold vectors in this layout."""
    section = setting.rpartition(".")[0]
    kind = require_column(where, schema, column, f"{setting}, or leave the file out with {section}.files.exclude")
    texts = layout.format == "text"
    if is_text_type(kind) if texts else is_vector_type(kind):
        return
    rule = "vectors must be a list, large_list or fixed_size_list of float16, float32, float64, int8 or uint8"
    remedies = ["vectors.format: text needs strings"] if texts else [rule]
    if is_text_type(kind):
        remedies.append(f"set {section}.vectors.format: text, if they are written as [0.1, …]")
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        remedies.append(
            f"set {section}.vectors.format: bytes and {section}.vectors.dtype, if they are numbers in memory"
        )
    remedies += [f"set {setting}: {path}" for path in inner_lists(column, kind)][:_SUGGESTED]
    raise InputError(f"{where}: column '{column}' is of type {kind}: {'; '.join(remedies)}")


def require_column(where: str, schema: pa.Schema, column: str, setting: str) -> pa.DataType:
    """The type of the column; `InputError` unless exactly one has this name. Lists the others, near names first."""
    count = schema.names.count(column)
    if count == 1:
        return schema.field(column).type
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
    else:  # a type that is not registered
        name = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode(errors="replace")
    if name in _PICKLED:
        yield name
    for index in range(kind.num_fields):
        yield from _pickled(kind.field(index))
