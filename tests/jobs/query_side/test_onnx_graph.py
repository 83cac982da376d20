"""The ONNX file in onnxruntime against numpy: floats within 1e-6, codes to the bit but beside a border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from adaptor.codec import BITS, Codec, open_quantiser
from adaptor.projection import Projection
from adaptor.quantisers import Codes
from adaptor.query_side.description import DESCRIPTION, Description, ExportedCanary
from adaptor.query_side.exported import QuerySide, query_side
from adaptor.rows import Floats
from jobs.query_side.onnx_graph import OPSET, model_of
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

DIM = 64
ALL_ENCODINGS = pytest.mark.parametrize("encoding", BITS)


def run(side: QuerySide, vectors: Floats) -> tuple[Floats, Codes]:
    """The file's numbers and codes of vectors."""
    session = onnxruntime.InferenceSession(model_of(side).SerializeToString(), providers=["CPUExecutionProvider"])
    transformed, codes = session.run(["transformed", "codes"], {"vectors": vectors})
    return transformed, codes


@pytest.mark.parametrize(
    ("metric", "architecture"), [("cosine", "linear"), ("l2", "linear"), ("dot", "linear"), ("cosine", "mlp")]
)
@ALL_ENCODINGS
def test_it_makes_what_numpy_makes(encoding: str, metric: Any, architecture: str) -> None:
    side = query_side(scifact_adaptor(metric, architecture), dim=DIM, encoding=encoding)
    queries = vectors_of(SCIFACT / "queries.parquet")
    transformed, codes = run(side, queries)
    expected = side.transform(queries)
    np.testing.assert_allclose(transformed, expected, atol=1e-6)
    assert transformed.dtype == np.float32
    # From the same floats the same codes, always; from floats that differ by a rounding, nearly always.
    np.testing.assert_array_equal(codes, side.codec.quantiser.quantise(transformed))
    assert codes.dtype == side.codec.quantiser.dtype
    if encoding != "float32":
        one, other = side.codec.reconstruct(codes), side.codec.reconstruct(side.encode(queries))
        assert (one != other).mean() < (5e-3 if encoding == "float16" else 1e-3)  # float16 has more borders
        beside = side.codec.quantiser.tolerance(other) + 1e-6
        assert (np.abs(one - expected) <= beside)[one != other].all()


@ALL_ENCODINGS
def test_one_row_no_row_and_rows_of_extreme_length(encoding: str) -> None:
    side = query_side(scifact_adaptor(), dim=DIM, encoding=encoding)
    queries = vectors_of(SCIFACT / "queries.parquet")[:6]
    queries *= np.array([1e-15, 1e-3, 1, 1e3, 1e15, 0], np.float32)[:, None]
    transformed, codes = run(side, queries)
    np.testing.assert_allclose(transformed, side.transform(queries), atol=1e-6)
    np.testing.assert_array_equal(codes, side.codec.quantiser.quantise(transformed))
    assert not transformed[5].any()
    np.testing.assert_allclose(run(side, queries[2:3])[0], transformed[2:3], atol=1e-6)
    nothing, none = run(side, queries[:0])
    assert (nothing.shape, none.shape) == ((0, DIM), (0, side.codec.quantiser.width))


def identity_side(encoding: str, step: float, centre: Sequence[float]) -> QuerySide:
    """A query side that only encodes: its map is the identity."""
    dim, quantiser = len(centre), open_quantiser(encoding, step, np.array(centre, np.float32))
    bits = BITS[encoding]
    zeros = ((0.0,) * dim,)
    canary = ExportedCanary(vectors=zeros, transformed=zeros, codes=((0.0,) * quantiser.width,))
    description = Description(
        adaptor_id="0" * 64,
        input_dim=dim,
        dim=dim,
        metric="dot",
        encoding=encoding,  # type: ignore[arg-type]
        step=step if bits <= 8 else None,
        centre=tuple(centre) if bits < 8 else None,
        canary=canary,
    )
    return QuerySide(description, Codec(encoding, Projection(np.eye(dim, dtype=np.float32), "dot"), quantiser))


@ALL_ENCODINGS
def test_ties_and_ends_are_rounded_as_numpy_rounds_them(encoding: str) -> None:
    side = identity_side(encoding, 0.25, [0.0, 0.5, -0.25, 1.0, 0.0, -2.0, 0.125, 3.0])
    ties = np.arange(-2400, 2400, dtype=np.float32) / 8  # every border of the codes, their middles, and far beyond
    halves = np.array(
        [1 + 2**-11, 1 + 3 * 2**-11, 2**-25, 3 * 2**-25, 65519, 65520, -65536, 1e9], np.float32
    )  # of float16
    vectors = np.concatenate([ties, halves]).reshape(-1, 8)
    transformed, codes = run(side, vectors)
    np.testing.assert_array_equal(transformed, vectors)
    np.testing.assert_array_equal(codes, side.codec.quantiser.quantise(vectors))
    assert len(np.unique(codes)) > 1


def test_what_the_file_says_about_itself() -> None:
    side = query_side(scifact_adaptor(), dim=DIM, encoding="int2")
    model = model_of(side)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    said = {entry.key: entry.value for entry in model.metadata_props}
    named = {name: said[f"matryoshka.{name}"] for name in ("adaptor_id", "input_dim", "dim", "metric", "encoding")}
    assert named == {
        "adaptor_id": scifact_adaptor().adaptor_id,
        "input_dim": "384",
        "dim": "64",
        "metric": "cosine",
        "encoding": "int2",
    }
    assert Description.model_validate_json(said[DESCRIPTION]) == side.description
    onnx.checker.check_model(model, full_check=True)


def test_vectors_of_another_dimension_are_refused_by_the_runtime() -> None:
    side = query_side(scifact_adaptor(), dim=DIM, encoding="int8")
    wrong: Any
    for wrong in (np.zeros((2, 383), np.float32), np.zeros(384, np.float32), np.zeros((2, 384))):
        with pytest.raises(Exception, match=r"(?i)invalid|unexpected|rank"):
            run(side, wrong)
