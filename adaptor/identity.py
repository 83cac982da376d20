"""What makes an artefact what it says it is: the hashes in its document, and the checks of files against them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from adaptor.errors import InputError
from adaptor.rows import Floats
from adaptor.settings import Metric

WEIGHTS, DOCUMENT, PCA, CODES, CANARY = FILES = (
    "adaptor.safetensors",
    "adaptor.json",
    "pca.safetensors",
    "codes.safetensors",
    "canary.safetensors",
)
#: Format 1 had no codes.
FORMAT, FORMATS = 2, (1, 2)
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
    "codes_sha256",
)
#: Key of a document that has a canary. It is not part of the id: the canary follows from what is.
CANARY_HASH = "canary_sha256"
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


def required_files(document: Any) -> tuple[str, ...]:
    """The files of an artefact with this document."""
    described = document if isinstance(document, dict) else {}
    left_out = {CODES} if described.get("format") == 1 else set()
    if CANARY_HASH not in described:  # of a version before canaries
        left_out.add(CANARY)
    return tuple(name for name in FILES if name not in left_out)


def _identity_keys(document: Mapping[str, Any]) -> tuple[str, ...]:
    return IDENTITY[:-1] if document.get("format") == 1 else IDENTITY


def identity(document: Mapping[str, Any]) -> str:
    """The adaptor id: hash of what defines map and codes."""
    return sha256(canonical({key: document[key] for key in _identity_keys(document)}))


def checksum(document: Mapping[str, Any]) -> str:
    """Hash of all of the document but this very entry."""
    return sha256(canonical({key: value for key, value in document.items() if key != "checksum"}))


def check_document(document: Any, files: Mapping[str, bytes], where: str) -> None:
    """Raise InputError unless the document is whole and the files are those that it was written with."""
    if not isinstance(document, dict):
        raise InputError(f"{where}/{DOCUMENT} is not an adaptor's description: it is no JSON object")
    required = {*_identity_keys(document), "adaptor_id", "checksum", "pca_sha256"}
    if missing := required - document.keys():
        raise InputError(f"{where}/{DOCUMENT} is not an adaptor's description: {', '.join(sorted(missing))} missing")
    if document["format"] not in FORMATS:
        raise InputError(
            f"{where} has artefact format {document['format']}, this version reads {' and '.join(map(str, FORMATS))}; "
            "use the version that wrote it"
        )
    recorded_hashes = {WEIGHTS: "weights_sha256", PCA: "pca_sha256", CODES: "codes_sha256", CANARY: CANARY_HASH}
    held = required_files(document)
    for name, computed, recorded in (
        *((name, sha256(files[name]), document[key]) for name, key in recorded_hashes.items() if name in held),
        (DOCUMENT, checksum(document), document["checksum"]),
        (f"{DOCUMENT} (adaptor_id)", identity(document), document["adaptor_id"]),
    ):
        if computed != recorded:
            raise InputError(
                f"{where}/{name} is damaged or was changed: its hash is {computed[:16]}…, "
                f"recorded is {str(recorded)[:16]}…; restore the artefact or fit again"
            )


def check_codes(document: Mapping[str, Any], codes: Mapping[str, NDArray[Any]], where: str) -> None:
    """Raise InputError unless the codes are those of some dims: for each a centre, four steps and perhaps an orthogonal
    matrix, and a seed."""
    dims = {int(name.removeprefix("steps_")) for name in codes if re.fullmatch(r"steps_[1-9]\d{0,5}", name)}
    expected: dict[str, tuple[type, tuple[int, ...]]] = {f"centre_{dim}": (np.float32, (dim,)) for dim in dims}
    expected |= {f"steps_{dim}": (np.float32, (4,)) for dim in dims} | {"rotation_seed": (np.int64, (1,))}
    expected |= {f"rotation_{dim}": (np.float32, (dim, dim)) for dim in dims if f"rotation_{dim}" in codes}
    usable = max(dims, default=1) <= document["input_dim"] and all(dim % 8 == 0 for dim in dims)
    if not usable or {name: (codes[name].dtype.type, codes[name].shape) for name in codes} != expected:
        raise InputError(f"{where}/{CODES}: its tensors are not those of codes ({', '.join(sorted(codes))}); fit again")
    for name, tensor in codes.items():
        if not np.isfinite(tensor).all() or (name.startswith("steps_") and (tensor <= 0).any()):
            raise InputError(f"{where}/{CODES}: {name} holds numbers that are no codes' ({tensor}); fit again")


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
