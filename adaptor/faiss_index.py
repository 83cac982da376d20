"""A ready faiss index of codes, which raw queries search: the adaptor's map stands before it (IndexPreTransform)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faiss
import numpy as np

from adaptor.codec import Codec
from adaptor.errors import InputError
from adaptor.projection import Projection
from adaptor.quantisers import Codes, MidRise, SymmetricInt8
from adaptor.rows import unit_rows

_METRICS = {"cosine": faiss.METRIC_INNER_PRODUCT, "dot": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}


def build_index(codec: Codec, blocks: Iterable[Codes], kind: str = "flat") -> Any:
    """An index of all codes (n, width), numbered in their order: of decoded vectors (`flat`), of codes as they are
    (`scalar`), or of sign codes by Hamming distance (`binary`).

    `flat` holds the decoded vectors, float32: its top k are those of `search_codes`. `scalar` holds the codes of int8,
    int4 or float16 in a ScalarQuantizer; faiss does not divide the decoded length out, so that for cosine it ranks by
    the inner product. Both take original vectors (q, d). `binary` is an IndexBinaryFlat, which takes `Codec.encode` of
    the queries.

    Raises InputError for a kind that the encoding does not have, codes that are not of this codec, and the mlp
    architecture, which faiss cannot compute.
    """
    if kind not in _kinds_of(codec):
        raise InputError(f"kind is {kind!r}: {codec.encoding} codes take {' or '.join(_kinds_of(codec))}")
    if kind == "binary":
        return _filled(faiss.IndexBinaryFlat(codec.dim), codec, blocks, kind)
    index = _scalar(codec) if kind == "scalar" else faiss.IndexFlat(codec.dim, _METRICS[codec.projection.metric])
    return _behind(codec.projection, _filled(index, codec, blocks, kind))


def _kinds_of(codec: Codec) -> list[str]:
    scalar = isinstance(codec.quantiser, SymmetricInt8) and not codec.quantiser.offset
    scalar |= codec.encoding in ("int4", "float16")
    return ["flat", *(["scalar"] if scalar else []), *(["binary"] if codec.encoding == "binary" else [])]


def _filled(index: Any, codec: Codec, blocks: Iterable[Codes], kind: str) -> Any:
    for block in blocks:
        codes = np.ascontiguousarray(block)
        decoded = codec.reconstruct(codes)  # refuses what are no codes
        if kind == "binary":
            index.add(codes)
        elif kind == "scalar":
            signed = codes.dtype == np.int8
            stored = (codes.view(np.uint8) ^ 0x80) if signed else codes.view(np.uint8)
            index.add_sa_codes(np.ascontiguousarray(stored.reshape(len(codes), -1)))
        else:
            index.add(unit_rows(decoded) if codec.projection.metric == "cosine" else decoded)
    return index


def _scalar(codec: Codec) -> Any:
    """An empty ScalarQuantizer that decodes the codes as we do: number u is low + (u + ½)·span / most."""
    types, quantiser = faiss.ScalarQuantizer, codec.quantiser
    # Not QT_8bit_direct_signed, which would round the query to whole numbers, too.
    kinds = {"int8": types.QT_8bit, "int4": types.QT_4bit, "float16": types.QT_fp16}
    index = faiss.IndexScalarQuantizer(codec.dim, kinds[codec.encoding], _METRICS[codec.projection.metric])
    if isinstance(quantiser, MidRise | SymmetricInt8):
        most = 15 if isinstance(quantiser, MidRise) else 255
        centre = quantiser.centre if isinstance(quantiser, MidRise) else -0.5 * quantiser.step
        lows = np.broadcast_to(centre - (most + 1) / 2 * quantiser.step, codec.dim)
        spans = np.full(codec.dim, most * quantiser.step)
        faiss.copy_array_to_vector(np.concatenate([lows, spans]).astype(np.float32), index.sq.trained)
    index.is_trained = True
    return index


def _behind(projection: Projection, index: Any) -> Any:
    """The index behind the map from original vectors."""
    if projection.perceptron is not None:
        raise InputError("faiss cannot compute the mlp architecture: transform queries yourself, or fit another one")
    columns = np.ascontiguousarray(projection.columns.T, np.float32)
    linear = faiss.LinearTransform(columns.shape[1], columns.shape[0], False)
    faiss.copy_array_to_vector(columns.ravel(), linear.A)
    linear.is_trained = True
    whole = faiss.IndexPreTransform(index)
    if projection.metric == "cosine":
        whole.prepend_transform(faiss.NormalizationTransform(len(columns), 2.0))
    whole.prepend_transform(linear)
    return whole
