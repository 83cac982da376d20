"""What every reader refuses: damaged files, another index, another engine's numbers, vectors of another dimension."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import BoW

from adaptor.errors import InputError
from adaptor.query_side.description import DESCRIPTION
from adaptor.query_side.exported import open_query_side, query_side
from adaptor.query_side.faiss import open_faiss
from adaptor.query_side.langchain import ShortEmbeddings
from adaptor.query_side.llamaindex import ShortEmbedding
from adaptor.query_side.onnx import open_onnx
from adaptor.query_side.sentence_transformers import behind
from jobs.query_side.onnx_graph import model_of
from tests.jobs.query_side.exports import LangChainModel, LlamaIndexModel, export
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

COLUMN: dict[str, Any] = {"dim": 64, "encoding": "int8"}
STAMPS = {"adaptor_id": scifact_adaptor().adaptor_id, **COLUMN}


def model_of_the_source(dim: int = 384) -> SentenceTransformer:
    """A model without weights: counts the words w0, w1 …"""
    return SentenceTransformer(modules=[BoW(vocab=[f"w{word}" for word in range(dim)])], device="cpu")


def open_modules(folder: Path, index: Mapping[str, Any] | None = None) -> Any:
    """The Sentence Transformers modules behind a model."""
    return behind(model_of_the_source(), folder, index)


def open_file(folder: Path, index: Mapping[str, Any] | None = None) -> Any:
    """The ONNX file of a folder."""
    return open_onnx(folder / "query_side.onnx", index)


READERS: dict[str, Callable[..., Any]] = {
    "matrix": open_query_side,
    "onnx": open_file,
    "faiss": open_faiss,
    "sentence-transformers": open_modules,
}
ALL_READERS = pytest.mark.parametrize("name", READERS)


@ALL_READERS
def test_the_index_must_be_of_this_adaptor_dim_and_encoding(name: str, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, name, **COLUMN)
    assert READERS[name](folder, STAMPS) is not None
    assert READERS[name](folder, {**STAMPS, "dim": "64", "metric": "cosine"}) is not None  # texts, as metadata is
    for stamp, other in {"adaptor_id": "0" * 64, "dim": 128, "encoding": "uint8"}.items():
        with pytest.raises(InputError, match=rf"the index has {stamp} .*{other}.*, this query side "):
            READERS[name](folder, {**STAMPS, stamp: other})
    with pytest.raises(InputError, match="the index has encoding None"):
        READERS[name](folder, {"adaptor_id": STAMPS["adaptor_id"], "dim": 64})


@ALL_READERS
def test_other_numbers_than_at_the_export_are_refused(name: str, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, name, **COLUMN)
    swap_columns(folder, name)
    with pytest.raises(InputError, match=r"makes other numbers of the canary vectors than recorded: number [37] of"):
        READERS[name](folder)


def swap_columns(folder: Path, name: str) -> None:
    """Exchange two numbers of all outputs; all hashes agree with it."""
    order = np.arange(64)
    order[[3, 7]] = order[[7, 3]]
    description = json.loads((folder / DESCRIPTION).read_bytes())
    if name == "matrix":
        np.save(folder / "matrix.npy", np.load(folder / "matrix.npy")[:, order])
    elif name == "sentence-transformers":
        tensors = load_file(folder / "0_Dense" / "model.safetensors")
        save_file({"linear.weight": tensors["linear.weight"][order].copy()}, folder / "0_Dense" / "model.safetensors")
    elif name == "onnx":
        side = query_side(scifact_adaptor(), **COLUMN)
        projection = replace(side.codec.projection, columns=side.codec.projection.columns[:, order])
        changed = replace(side, codec=replace(side.codec, projection=projection))
        (folder / "query_side.onnx").write_bytes(model_of(changed).SerializeToString())
    else:
        content = (folder / "query_side.faiss").read_bytes()
        matrix = np.ascontiguousarray(query_side(scifact_adaptor(), **COLUMN).codec.projection.columns.T)
        assert content.count(matrix.tobytes()) == 1
        (folder / "query_side.faiss").write_bytes(content.replace(matrix.tobytes(), matrix[order].tobytes()))
    for file in description["files"]:
        description["files"][file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / DESCRIPTION).write_text(json.dumps(description))


@pytest.mark.parametrize(("name", "file"), [("matrix", "matrix.npy"), ("faiss", "query_side.faiss")])
def test_a_damaged_or_missing_file_is_named(name: str, file: str, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, name, **COLUMN)
    content = bytearray((folder / file).read_bytes())
    content[-9] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=rf"{file} is damaged or was changed"):
        READERS[name](folder)
    (folder / file).unlink()
    with pytest.raises(InputError, match=rf"{file} is missing"):
        READERS[name](folder)
    (folder / DESCRIPTION).unlink()
    with pytest.raises(InputError, match=rf"{DESCRIPTION} is missing: give the folder"):
        READERS[name](folder)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"adaptor_id": "abc"}, "adaptor_id"),
        ({"format": 2}, "format"),
        ({"dim": 65}, "canary.transformed must be 4 rows of 65 numbers"),
        ({"encoding": "int4"}, "canary.codes must be 4 rows of 32 numbers"),
        ({"step": None}, "step and centre are not those of int8"),
        ({"step": float("nan")}, "step"),
        ({"surplus": 1}, "surplus"),
        ({"dim": 1 << 40}, "dim"),
        ({"canary": {"vectors": [], "transformed": [], "codes": []}}, "canary.vectors"),
    ],
)
def test_a_description_that_is_none_is_refused(change: dict[str, Any], rule: str, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, "matrix", **COLUMN)
    description = json.loads((folder / DESCRIPTION).read_bytes())
    (folder / DESCRIPTION).write_text(json.dumps({**description, **change}))
    with pytest.raises(InputError, match=rule):
        open_query_side(folder)
    for content in ("{", "", "null", "[" * 100_000, "\udcff", '{"format": 1e999}'):
        (folder / DESCRIPTION).write_text(content, errors="surrogateescape")
        with pytest.raises(InputError, match="does not describe a query side"):
            open_query_side(folder)


def test_a_matrix_of_another_shape_or_kind_is_refused(tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, "matrix", **COLUMN)
    description = json.loads((folder / DESCRIPTION).read_bytes())
    for content in (np.zeros((384, 63), np.float32), np.zeros((384, 64)), b"no array", np.array([None, 1])):
        stream = io.BytesIO()
        np.save(stream, content, allow_pickle=True) if isinstance(content, np.ndarray) else stream.write(content)
        (folder / "matrix.npy").write_bytes(stream.getvalue())
        description["files"]["matrix.npy"] = hashlib.sha256(stream.getvalue()).hexdigest()
        (folder / DESCRIPTION).write_text(json.dumps(description))
        with pytest.raises(InputError, match=r"matrix\.npy is (no .npy file|float64|float32)"):
            open_query_side(folder)


def test_an_onnx_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "query_side.onnx"
    with pytest.raises(InputError, match="is missing"):
        open_onnx(path)
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match="onnxruntime cannot read it"):
        open_onnx(path)
    model = model_of(query_side(scifact_adaptor(), **COLUMN))
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="its metadata does not describe a query side"):
        open_onnx(path)


def test_vectors_of_another_dimension_are_refused_everywhere(tmp_path: Path) -> None:
    side = open_query_side(export(scifact_adaptor(), tmp_path, "matrix", **COLUMN))
    short = vectors_of(SCIFACT / "queries.parquet")[:, :383]
    for call in (
        lambda: side.transform(short),
        lambda: side.encode(short),
        lambda: ShortEmbeddings(LangChainModel(short), side).embed_query("0"),
        lambda: ShortEmbeddings(LangChainModel(short), side).embed_documents(["0", "1"]),
        lambda: ShortEmbedding(LlamaIndexModel(rows=short.tolist()), side).get_query_embedding("0"),
    ):
        with pytest.raises(InputError, match=r"shape .*383.*, but this adaptor takes \(n, 384\)"):
            call()
    folder = export(scifact_adaptor(), tmp_path, "sentence-transformers", **COLUMN)
    with pytest.raises(InputError, match=r"the model gives 383 numbers, adaptor .* takes 384"):
        behind(model_of_the_source(383), folder)
    with pytest.raises(AssertionError):
        open_faiss(export(scifact_adaptor(), tmp_path, "faiss", **COLUMN)).search(short, 1)
