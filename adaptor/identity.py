"""What makes an artefact what it says it is: the hashes in its document, and the checks of files against them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from adaptor.errors import InputError
from adaptor.rows import Floats
from adaptor.settings import Metric

WEIGHTS, DOCUMENT, PCA = FILES = ("adaptor.safetensors", "adaptor.json", "pca.safetensors")
FORMAT = 1
#: Keys of the document that the adaptor id is made of; the rest (evidence, data, versions) describes but does not
#: define.
IDENTITY = (
    "format",
    "input_dim",
    "dims",
    "metric",
    "architecture",
    "unit_input",
    "recipe",
    "settings",
    "weights_sha256",
)
#: Tensors of each architecture, and those it may have besides.
_TENSORS: dict[str, tuple[set[str], set[str]]] = {
    "orthogonal": ({"linear"}, {"head"}),
    "linear": ({"linear"}, set()),
    "mlp": ({"linear", "hidden_weight", "hidden_bias", "output_weight", "output_bias"}, set()),
}


def canonical(value: Any) -> bytes:
    """The one way of writing a document as JSON, so that equal ones have equal hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def identity(document: Mapping[str, Any]) -> str:
    """The adaptor id: hash of what defines the map."""
    return sha256(canonical({key: document[key] for key in IDENTITY}))


def checksum(document: Mapping[str, Any]) -> str:
    """Hash of all of the document but this very entry."""
    return sha256(canonical({key: value for key, value in document.items() if key != "checksum"}))


def check_document(document: Any, files: Mapping[str, bytes], where: str) -> None:
    """Raise InputError unless the document is whole and the files are those that it was written with."""
    required = {*IDENTITY, "adaptor_id", "checksum", "pca_sha256"}
    missing = required - document.keys() if isinstance(document, dict) else required
    if missing:
        raise InputError(f"{where}/{DOCUMENT} is not an adaptor's description: {', '.join(sorted(missing))} missing")
    if document["format"] != FORMAT:
        raise InputError(
            f"{where} has artefact format {document['format']}, this version reads {FORMAT}; "
            "use the version that wrote it"
        )
    for name, computed, recorded in (
        (WEIGHTS, sha256(files[WEIGHTS]), document["weights_sha256"]),
        (PCA, sha256(files[PCA]), document["pca_sha256"]),
        (DOCUMENT, checksum(document), document["checksum"]),
        (f"{DOCUMENT} (adaptor_id)", identity(document), document["adaptor_id"]),
    ):
        if computed != recorded:
            raise InputError(
                f"{where}/{name} is damaged or was changed: its hash is {computed[:16]}…, "
                f"recorded is {str(recorded)[:16]}…; restore the artefact or fit again"
            )


def check_shapes(document: Mapping[str, Any], tensors: Mapping[str, Floats], where: str) -> None:
    """Raise InputError unless the tensors are those that the document's architecture needs."""
    input_dim = document["input_dim"]
    hidden = len(tensors.get("hidden_bias", ()))
    head = tensors["head"].shape if "head" in tensors else (1, 1)
    shapes = {
        "linear": (input_dim, input_dim),
        "head": head if len(head) == 2 and 1 <= head[1] <= head[0] <= input_dim else ("b", f"c ≤ b ≤ {input_dim}"),
        "hidden_weight": (input_dim, hidden),
        "hidden_bias": (hidden,),
        "output_weight": (hidden, input_dim),
        "output_bias": (input_dim,),
    }
    needed, allowed = _TENSORS.get(document["architecture"], (set(), set()))
    if document["metric"] not in get_args(Metric) or not needed or not needed <= set(tensors) <= needed | allowed:
        raise InputError(
            f"{where}: architecture {document['architecture']!r}, metric {document['metric']!r} and tensors "
            f"{sorted(tensors)} do not fit together; fit again"
        )
    for name in sorted(tensors):
        if tensors[name].shape != shapes[name] or tensors[name].dtype != np.float32:
            raise InputError(
                f"{where}/{WEIGHTS}: {name} is {tensors[name].dtype} {tensors[name].shape}, "
                f"expected float32 {shapes[name]}; fit again"
            )
