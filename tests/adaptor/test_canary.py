"""Canary vectors: the same on every machine, recorded at the fit, checked wherever an adaptor or a codec is opened."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
import pytest

from adaptor import InputError
from adaptor.artefact import Adaptor, build, from_files, with_canary
from adaptor.canary import ROWS, draw
from adaptor.identity import CANARY
from adaptor.projection import Projection
from adaptor.quantisers import MidRise
from tests.jobs.evaluate.inputs import make_adaptor, with_fitted_codes

DIM = 24
ENCODINGS = ("int8", "uint8", "int4", "int2", "binary")


def rows(seed: int = 0, scale: float = 1.0) -> Any:
    return (scale * np.random.default_rng(seed).normal(size=(200, DIM))).astype(np.float32)


def example(**made: Any) -> Adaptor:
    return with_canary(with_fitted_codes(make_adaptor(rows(), (8, 12, DIM), **made), rows()))


def test_the_vectors_are_the_same_on_every_machine() -> None:
    digest = hashlib.shake_256(b"matryoshka canary 24").digest(2 * ROWS * DIM)
    drawn = np.array(struct.unpack(f"<{ROWS * DIM}H", digest), float).reshape(ROWS, DIM) - 32767.5
    expected = drawn / np.sqrt((drawn**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(draw(DIM), expected, rtol=1e-6)
    np.testing.assert_allclose(draw(DIM, 30.0), 30 * expected, rtol=1e-6)


@pytest.mark.parametrize(
    "made", [{}, {"metric": "l2"}, {"architecture": "mlp"}, {"architecture": "orthogonal", "head": (20, 10)}]
)
def test_it_travels_with_the_files_and_changes_no_id(made: dict[str, Any]) -> None:
    fitted = with_fitted_codes(make_adaptor(rows(), (8, 12, DIM), **made), rows())
    canary = with_canary(fitted)
    read = from_files(canary.to_files())
    assert read.adaptor_id == canary.adaptor_id == fitted.adaptor_id
    coded = {f"{name}_{dim}" for name in ("rotated", *ENCODINGS) for dim in (8, DIM)}  # 12 is no multiple of 8
    assert set(read.canary) == {"vectors", "short_8", "short_12", f"short_{DIM}"} | coded
    vectors = read.canary["vectors"]
    np.testing.assert_array_equal(read.canary["short_12"], fitted.transform(vectors, dim=12))
    for encoding in ENCODINGS:
        codes = fitted.codec(dim=8, encoding=encoding).encode(vectors)
        np.testing.assert_array_equal(read.canary[f"{encoding}_8"], codes)
        assert read.codec(dim=8, encoding=encoding).bytes_per_vector == codes.shape[1]


def test_its_vectors_are_as_long_as_those_of_the_sample() -> None:
    described = example().document | {"statistics": {"shortest": 4.0, "longest": 9.0}}
    long = with_canary(build(described, example().tensors, np.eye(DIM, dtype=np.float32)))
    np.testing.assert_allclose(np.linalg.norm(long.canary["vectors"], axis=1), 6, rtol=1e-6)


def test_adaptors_of_versions_before_it_are_read() -> None:
    fitted = with_fitted_codes(make_adaptor(rows(), (8, DIM)), rows())
    files = fitted.to_files()
    assert CANARY not in files
    assert not from_files(files).canary
    assert from_files(files).codec(dim=8, encoding="int8").dim == 8


def test_a_canary_that_is_missing_or_of_another_adaptor_is_refused() -> None:
    files = example().to_files()
    with pytest.raises(InputError, match=r"canary\.safetensors missing"):
        from_files({name: content for name, content in files.items() if name != CANARY})
    other = with_canary(with_fitted_codes(make_adaptor(rows(1), (8, 12, DIM)), rows(1)))
    with pytest.raises(InputError, match=r"canary\.safetensors is damaged or was changed"):
        from_files({**files, CANARY: other.to_files()[CANARY]})


def spoiled(name: str, change: float) -> dict[str, bytes]:
    """The files of an adaptor that made something else of the canary vectors once."""
    canary = {key: tensor.copy() for key, tensor in example().canary.items()}
    canary[name][1, 2] += np.array(change).astype(canary[name].dtype)
    return with_canary(example(), canary).to_files()


def test_other_numbers_than_at_the_fit_are_refused_at_load_and_named() -> None:
    assert from_files(spoiled("short_12", 4e-6)).dims == (8, 12, DIM)
    for change in (3e-5, -0.5, np.nan, np.inf):
        with pytest.raises(InputError, match=r"at dim 12 makes other numbers .* number 2 of vector 1 is .* it was"):
            from_files(spoiled("short_12", change))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_codec_refuses_other_numbers_and_other_codes(encoding: str) -> None:
    read = from_files(spoiled("rotated_8", 1e-3))
    with pytest.raises(InputError, match=rf"at dim 8, rotated for {encoding}, makes other numbers"):
        read.codec(dim=8, encoding=encoding)
    assert read.codec(dim=8, encoding="float16").dim == 8
    assert read.codec(dim=DIM, encoding=encoding).dim == DIM
    last = {"int2": 1, "binary": 0}.get(encoding, 2)
    canary = {key: tensor.copy() for key, tensor in example().canary.items()}
    canary[f"{encoding}_8"][1, last] ^= 1
    with pytest.raises(InputError, match=rf"at dim 8 as {encoding} makes other codes .* entry {last} of vector 1"):
        with_canary(example(), canary).codec(dim=8, encoding=encoding)


def test_a_processor_that_rounds_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    files = example().to_files()
    monkeypatch.setattr(MidRise, "_packed", lambda self, codes: np.packbits(codes > 1, axis=1, bitorder="little"))
    with pytest.raises(InputError, match="as binary makes other codes"):
        from_files(files).codec(dim=8, encoding="binary")
    monkeypatch.setattr(Projection, "_adapt", lambda self, block, short: np.matmul(block * 2, self.columns, out=short))
    assert from_files(files).dims  # a length does not matter for cosine
    monkeypatch.setattr(
        Projection, "_adapt", lambda self, block, short: np.matmul(block[:, ::-1], self.columns, out=short)
    )
    with pytest.raises(InputError, match="other numbers of the canary vectors"):
        from_files(files)


@pytest.mark.parametrize(
    "change",
    [
        {"surplus": np.zeros(1, np.float32)},
        {"vectors": np.zeros((ROWS, DIM - 1), np.float32)},
        {"short_8": np.zeros((ROWS, 8), np.float64)},
        {"binary_8": np.zeros((ROWS, 2), np.uint8)},
    ],
)
def test_a_canary_that_is_none_is_refused(change: dict[str, Any]) -> None:
    files = with_canary(example(), {**example().canary, **change}).to_files()
    with pytest.raises(InputError, match="its tensors are not those of a canary"):
        from_files(files)
