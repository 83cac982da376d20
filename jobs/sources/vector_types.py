"""Which Arrow types can hold vectors."""

from __future__ import annotations

import pyarrow as pa


def is_vector_type(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold vectors: a list of float16, float32 or float64."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))
