"""The fitted adaptor as files.

An artefact is five files. `adaptor.safetensors` holds the map in its folded form, `codes.safetensors` what its
encodings need, `adaptor.json` says what it is and carries the evidence, `pca.safetensors` holds the uncentred PCA
rotation, kept as the baseline that evaluate compares with, `canary.safetensors` holds vectors whose outputs are checked
wherever it is loaded (canary.py). The adaptor id is a hash of weights, codes and every setting that shaped them; it is
checked at every load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from adaptor.adaptor import Adaptor
from adaptor.canary import check_shape, check_transform, record
from adaptor.errors import InputError
from adaptor.identity import (
    CANARY,
    CANARY_HASH,
    CODES,
    DOCUMENT,
    FILES,
    FORMAT,
    PCA,
    WEIGHTS,
    canonical,
    check_codes,
    check_document,
    check_shapes,
    checksum,
    identity,
    required_files,
    sha256,
)
from adaptor.rows import Floats

__all__ = ["Adaptor", "build", "from_files", "load", "with_canary", "with_codes"]

#: What looks like the address of an object store, also after a Path has taken one of its slashes.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def build(description: Mapping[str, Any], tensors: Mapping[str, Floats], rotation: Floats) -> Adaptor:
    """Make an adaptor from a description (the document without hashes), folded tensors and the PCA rotation (d, d)."""
    tensors = {name: np.ascontiguousarray(t, np.float32) for name, t in tensors.items()}
    pca = save_tensors({"rotation": np.ascontiguousarray(rotation, np.float32)})
    document = {
        **description,
        "weights_sha256": sha256(save_tensors(tensors)),
        "pca_sha256": sha256(pca),
    }
    return _sealed(Adaptor(document, tensors, pca))


def with_codes(adaptor: Adaptor, codes: Mapping[str, NDArray[Any]], **described: Any) -> Adaptor:
    """The same map with the codes that `fit_codes` found, and more to say in the document. It has another id, and no
    canary."""
    return _sealed(Adaptor({**adaptor.document, **described}, adaptor.tensors, adaptor.pca, codes))


def with_canary(adaptor: Adaptor, canary: Mapping[str, NDArray[Any]] | None = None) -> Adaptor:
    """The same adaptor, of the same id, with canary vectors and what it makes of them here and now; with these, where
    they are given."""
    return _sealed(replace(adaptor, canary=record(adaptor) if canary is None else canary))


def _sealed(adaptor: Adaptor) -> Adaptor:
    """The adaptor with the hashes that depend on all of it."""
    document = {**adaptor.document, "format": FORMAT, "codes_sha256": sha256(save_tensors(dict(adaptor.codes)))}
    document.pop(CANARY_HASH, None)
    if adaptor.canary:
        document[CANARY_HASH] = sha256(save_tensors(dict(adaptor.canary)))
    document["adaptor_id"] = identity(document)
    document["checksum"] = checksum(document)
    return replace(adaptor, document=json.loads(canonical(document)))


def load(path: str | Path) -> Adaptor:
    """Read an artefact from a local folder. Raises InputError when a file is missing, damaged or does not fit the
    others, when the canary vectors come out otherwise than at the fit, and for the URI of an object store."""
    if _URI.match(str(path)):
        raise InputError(
            f"{path} is a URI, and load reads local folders only: copy {', '.join(FILES)} into a folder, or read them "
            "with your own client and give their bytes by name to adaptor.from_files"
        )
    folder = Path(path)
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    return from_files(files, where=str(folder))


def from_files(files: Mapping[str, bytes], where: str = "artefact") -> Adaptor:
    """Read an artefact from its files' bytes; `where` names it in errors. Raises InputError as `load` does."""
    try:
        document = json.loads(files.get(DOCUMENT, b"null"))
    except ValueError as problem:
        raise InputError(f"{where}/{DOCUMENT} is not JSON ({problem}); restore the file or fit again") from problem
    if missing := [name for name in required_files(document) if name not in files]:
        raise InputError(
            f"{where}: no adaptor here: {', '.join(missing)} missing; give the folder that `matryoshka fit` wrote"
        )
    check_document(document, files, where)
    tensors = _tensors(files, WEIGHTS, where)
    check_shapes(document, tensors, where)
    codes = _tensors(files, CODES, where) if CODES in required_files(document) else {}
    if codes:
        check_codes(document, codes, where)
    canary = _tensors(files, CANARY, where) if CANARY in required_files(document) else {}
    adaptor = Adaptor(document, tensors, files[PCA], codes, canary)
    if canary:
        check_shape(canary, adaptor, f"{where}/{CANARY}")
        check_transform(canary, adaptor)
    return adaptor


def _tensors(files: Mapping[str, bytes], name: str, where: str) -> dict[str, NDArray[Any]]:
    try:
        return load_tensors(files[name])
    except (SafetensorError, ValueError) as problem:
        raise InputError(f"{where}/{name} is not safetensors ({problem}); restore the file or fit again") from problem
