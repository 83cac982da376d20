"""The query side as one ONNX file: map, normalisation and encoding, with the description in its metadata.

    vectors (n, d) → [length of extreme rows] → matrix product [+ perceptron] → length 1 (cosine) → transformed (n, m)
    transformed → scaled, rounded, packed → codes (n, width)

The operators are those of opset 17, which onnxruntime 1.12 and later run, onnxruntime-web and -node too. Products sum
up in another order than numpy's: transformed numbers agree within 1e-6, and a code may be the neighbouring one where
the number lies so near the border of two codes. From the transformed numbers to the codes nothing differs: int8 rounds
ties to even, the others take the upper of two equally near levels, as quantisers.py does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from adaptor.projection import Projection
from adaptor.quantisers import MidRise, Quantiser, SymmetricInt8
from adaptor.query_side.description import DESCRIPTION, ONNX, Description
from adaptor.query_side.exported import QuerySide
from adaptor.rows import UNSCALED_SQUARES
from jobs.version import VERSION

OPSET, IR_VERSION = 17, 8
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int8": TensorProto.INT8}


class OnnxFormat:
    """One file; onnxruntime itself refuses vectors of another dimension."""

    usage = (
        "from adaptor.query_side.onnx import open_onnx  # or any onnxruntime: Node, Java, C#, Rust …\n"
        'session = open_onnx("{folder}/query_side.onnx")\n'
        'transformed, codes = session.run(None, {{"vectors": queries}})\n'
    )

    def files(self, side: QuerySide) -> dict[str, bytes]:
        """The model."""
        return {ONNX: model_of(side).SerializeToString()}


def model_of(side: QuerySide) -> onnx.ModelProto:
    """The model of a query side."""
    description, quantiser = side.description, side.codec.quantiser
    graph = _Graph()
    short = _projected(graph, "vectors", side.codec.projection)
    graph.add("Identity", short, name="transformed")
    _encoded(graph, quantiser)
    made = helper.make_graph(
        graph.nodes,
        "query side",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", description.input_dim])],
        [
            helper.make_tensor_value_info("transformed", TensorProto.FLOAT, ["n", description.dim]),
            helper.make_tensor_value_info("codes", _code_type(description.encoding), ["n", quantiser.width]),
        ],
        graph.constants,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="matryoshka-adaptor"
    )
    model.producer_version = VERSION
    helper.set_model_props(model, _metadata(description))
    onnx.checker.check_model(model)
    return model


@dataclass
class _Graph:
    """The nodes and constants of a graph that grows."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str | NDArray[Any] | float, name: str = "", **attributes: Any) -> str:
        """Append an operator; a number or array among its inputs becomes a constant. The name of its output."""
        output = name or f"value_{len(self.nodes)}"
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output

    def _constant(self, value: NDArray[Any] | float) -> str:
        name = f"constant_{len(self.constants)}"
        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name


def _projected(graph: _Graph, vectors: str, projection: Projection) -> str:
    """Original vectors (n, d) as short ones (n, m): what `Projection.transform_rows` does."""
    cosine, perceptron = projection.metric == "cosine", projection.perceptron
    if cosine:
        vectors = _unit(graph, vectors, extreme_only=perceptron is None)
    short = graph.add("MatMul", vectors, projection.columns)
    if perceptron is not None:
        hidden = graph.add("Add", graph.add("MatMul", vectors, perceptron.hidden_weight), perceptron.hidden_bias)
        further = graph.add("MatMul", graph.add("Relu", hidden), perceptron.output_weight)
        short = graph.add("Add", short, graph.add("Add", further, perceptron.output_bias))
    return _unit(graph, short) if cosine else short


def _unit(graph: _Graph, rows: str, *, extreme_only: bool = False) -> str:
    """Rows of length 1, a zero row as it is; or only those whose squares float32 may not hold."""
    squares = graph.add("ReduceSumSquare", rows, axes=[1], keepdims=1)
    inverse = graph.add("Reciprocal", graph.add("Sqrt", squares))
    factor = graph.add("Where", graph.add("Greater", squares, 0.0), inverse, 0.0)
    if extreme_only:
        low, high = graph.add("Less", squares, UNSCALED_SQUARES[0]), graph.add("Greater", squares, UNSCALED_SQUARES[1])
        factor = graph.add("Where", graph.add("Or", low, high), factor, 1.0)
    return graph.add("Mul", rows, factor)


def _encoded(graph: _Graph, quantiser: Quantiser) -> None:
    """The output `transformed` (n, m) as the output `codes` (n, width): what `Quantiser.quantise` does."""
    if isinstance(quantiser, SymmetricInt8):
        scaled = graph.add("Mul", "transformed", float(np.float32(1 / quantiser.step)))
        whole = graph.add("Round", graph.add("Clip", scaled, -127.0, 127.0))
        codes = graph.add("Add", whole, float(quantiser.offset))
        graph.add("Cast", codes, name="codes", to=_TYPES["int8"] if not quantiser.offset else TensorProto.UINT8)
    elif isinstance(quantiser, MidRise):
        levels = 1 << quantiser.bits
        shift = np.float32(levels / 2) - quantiser.centre / np.float32(quantiser.step)
        scaled = graph.add("Add", graph.add("Mul", "transformed", float(np.float32(1 / quantiser.step))), shift)
        whole = graph.add("Floor", graph.add("Clip", scaled, 0.0, float(levels - 1)))
        shifts = np.arange(0, 8, quantiser.bits)
        weights = 2.0 ** (shifts[::-1] if quantiser.bits == 1 else shifts)
        shape = np.array([0, quantiser.width, len(weights)], np.int64)  # 0: as many rows as there are
        grouped = graph.add("Mul", graph.add("Reshape", whole, shape), weights.astype(np.float32))
        packed = graph.add("ReduceSum", grouped, np.array([2], np.int64), keepdims=0)
        graph.add("Cast", packed, name="codes", to=TensorProto.UINT8)
    elif quantiser.dtype == np.float16:
        clipped = graph.add("Clip", "transformed", -_LARGEST_FLOAT16, _LARGEST_FLOAT16)
        graph.add("Cast", clipped, name="codes", to=_TYPES["float16"])
    else:
        graph.add("Identity", "transformed", name="codes")


def _code_type(encoding: str) -> int:
    """The ONNX type of an entry of a code."""
    return _TYPES.get(encoding, TensorProto.UINT8)


def _metadata(description: Description) -> dict[str, str]:
    """Text by name: the whole description, and what a human looks for."""
    named = ("adaptor_id", "input_dim", "dim", "metric", "encoding")
    short = {f"matryoshka.{name}": str(getattr(description, name)) for name in named}
    return {**short, DESCRIPTION: description.to_json().decode()}
