"""The query side as stock modules of Sentence Transformers: `Dense` and `Normalize`, loaded without code of ours.

Written as its `save` writes them, by names that all its versions resolve, so that writing does not need it.
"""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import save as save_tensors

from adaptor.projection import Perceptron, Projection
from adaptor.query_side.exported import QuerySide
from adaptor.rows import Floats

_DENSE, _NORMALISE = "sentence_transformers.models.Dense", "sentence_transformers.models.Normalize"
_ACTIVATION = "torch.nn.modules.{}"


class SentenceTransformersFormat:
    """A folder that `SentenceTransformer(path)` loads, to stand behind the model of the source."""

    usage = (
        "from sentence_transformers import SentenceTransformer\n"
        'model = SentenceTransformer("the model of your source"); model.extend(SentenceTransformer("{folder}"))\n'
        'model.save("short-model")  # one folder, as any other model\n'
    )

    def files(self, side: QuerySide) -> dict[str, bytes]:
        """`modules.json` and a folder for each module."""
        projection = side.codec.projection
        perceptron = projection.perceptron
        layers = _linear(projection) if perceptron is None else _with_perceptron(projection, perceptron)
        files, modules = {}, []
        for number, (name, config, tensors) in enumerate(layers):
            folder = f"{number}_{name.rpartition('.')[2]}"
            modules.append({"idx": number, "name": str(number), "path": folder, "type": name})
            files[f"{folder}/config.json"] = _json(config)
            if tensors:
                files[f"{folder}/model.safetensors"] = save_tensors(tensors)
        files["modules.json"] = _json(modules)
        return files


#: A module: its type, its configuration and its tensors.
_Layer = tuple[str, dict[str, object], dict[str, Floats]]
_NORMALISED: _Layer = (_NORMALISE, {}, {})


def _linear(projection: Projection) -> list[_Layer]:
    """The matrix, and for cosine unit length."""
    layers = [_dense(projection.columns)]
    return [*layers, _NORMALISED] if projection.metric == "cosine" else layers


def _with_perceptron(projection: Projection, perceptron: Perceptron) -> list[_Layer]:
    """e·linear + relu(e·W + b)·V + c as two layers: the linear part passes the first one as relu(e) - relu(-e)."""
    unit = np.eye(len(projection.columns), dtype=np.float32)
    biases = np.concatenate([perceptron.hidden_bias, np.zeros(2 * len(unit), np.float32)])
    layers = [
        _dense(np.hstack([perceptron.hidden_weight, unit, -unit]), biases, "activation.ReLU"),
        _dense(np.vstack([perceptron.output_weight, projection.columns, -projection.columns]), perceptron.output_bias),
    ]
    return [_NORMALISED, *layers, _NORMALISED] if projection.metric == "cosine" else layers


def _dense(weight: Floats, bias: Floats | None = None, activation: str = "linear.Identity") -> _Layer:
    """A layer of `weight` (d, m), and `bias` (m,) where there is one."""
    tensors = {"linear.weight": np.ascontiguousarray(weight.T, np.float32)}
    if bias is not None:
        tensors["linear.bias"] = np.ascontiguousarray(bias, np.float32)
    d, m = weight.shape
    config = {"in_features": d, "out_features": m, "bias": bias is not None}
    return _DENSE, {**config, "activation_function": _ACTIVATION.format(activation)}, tensors


def _json(content: object) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
