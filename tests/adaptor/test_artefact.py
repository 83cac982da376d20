"""The artefact: identity, damage, bad input, and a transform that keeps unit vectors unit vectors."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adaptor
from adaptor import InputError
from adaptor.artefact import build, from_files, with_canary, with_codes
from adaptor.code_fitting import fit_codes
from adaptor.identity import DOCUMENT, FILES, PCA, WEIGHTS, canonical

DIM = 12


def description(**changes: Any) -> dict[str, Any]:
    about = {"input_dim": DIM, "dims": [4, DIM], "metric": "cosine", "architecture": "linear", "unit_input": True}
    return {**about, "recipe": {"name": "default", "version": 1}, "settings": {"seed": 0}, "evidence": [], **changes}


def matrix(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(DIM, DIM)).astype(np.float32)


def example(**changes: Any) -> adaptor.Adaptor:
    return build(description(**changes), {"linear": matrix()}, matrix(1))


def test_written_and_read_it_is_the_same(tmp_path: Path) -> None:
    made = example()
    for name, content in made.to_files().items():
        (tmp_path / name).write_bytes(content)
    read = adaptor.load(tmp_path)
    assert read.adaptor_id == made.adaptor_id
    assert (read.input_dim, read.dims, read.metric, read.architecture, read.unit_input) == (
        DIM,
        (4, DIM),
        "cosine",
        "linear",
        True,
    )
    assert np.array_equal(read.transform(matrix(2), dim=4), made.transform(matrix(2), dim=4))
    assert np.array_equal(read.rotation, matrix(1))
    assert read.to_files() == made.to_files()


def test_the_id_follows_weights_and_settings_and_nothing_else() -> None:
    one = example().adaptor_id
    assert example(evidence=[{"value": 1}], versions={"numpy": "9"}).adaptor_id == one
    assert example(settings={"seed": 1}).adaptor_id != one
    assert example(metric="dot").adaptor_id != one
    other = matrix()
    other[0, 0] = np.nextafter(other[0, 0], np.float32(np.inf))
    assert build(description(), {"linear": other}, matrix(1)).adaptor_id != one


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_anywhere_is_found(name: str) -> None:
    files = with_canary(example()).to_files()
    survived = []
    for place in range(len(files[name])):
        for flip in (1, 32, 128):
            content = bytearray(files[name])
            content[place] ^= flip
            try:
                from_files({**files, name: bytes(content)})
            except InputError:
                continue
            survived.append((place, flip))
    # White space between JSON tokens is the only thing that may change: it says nothing.
    if name == DOCUMENT:
        document = json.loads(files[name])
        survived = [(p, f) for p, f in survived if not _same_document(files[name], p, f, document)]
    assert survived == []


def _same_document(content: bytes, place: int, flip: int, document: Any) -> bool:
    changed = bytearray(content)
    changed[place] ^= flip
    return bool(json.loads(bytes(changed)) == document)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_named(name: str) -> None:
    files = with_canary(example()).to_files()
    with pytest.raises(InputError, match=f"{name}.*missing"):
        from_files({k: v for k, v in files.items() if k != name})
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        from_files({**files, name: files[name][:-7]})


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b'"text"', b"{", b"\xff"])
def test_a_description_that_is_none_is_said_to_be(content: bytes) -> None:
    with pytest.raises(InputError, match=r"adaptor\.json is not"):
        from_files({**example().to_files(), DOCUMENT: content})


def test_files_of_two_adaptors_do_not_mix() -> None:
    other = build(description(), {"linear": matrix(9)}, matrix(8)).to_files()
    for name in (WEIGHTS, PCA, DOCUMENT):
        with pytest.raises(InputError, match="damaged or was changed"):
            from_files({**example().to_files(), name: other[name]})


def of_format_1() -> dict[str, bytes]:
    """The files of an artefact as versions before codes wrote them."""
    document = {k: v for k, v in example().document.items() if k not in ("adaptor_id", "checksum", "codes_sha256")}
    document["format"] = 1
    defining = ("format", "input_dim", "dims", "metric", "architecture", "unit_input", "recipe", "settings")
    document["adaptor_id"] = hashlib.sha256(
        canonical({key: document[key] for key in (*defining, "weights_sha256")})
    ).hexdigest()
    document["checksum"] = hashlib.sha256(canonical(document)).hexdigest()
    files = example().to_files()
    return {WEIGHTS: files[WEIGHTS], PCA: files[PCA], DOCUMENT: json.dumps(document).encode()}


def test_an_artefact_without_codes_is_read_and_says_so_when_asked_for_them() -> None:
    old = from_files(of_format_1())
    rows = matrix(3)
    np.testing.assert_array_equal(old.transform(rows, dim=4), example().transform(rows, dim=4))
    assert from_files(old.to_files()).adaptor_id == old.adaptor_id != example().adaptor_id
    with pytest.raises(InputError, match="has no codes for int4: it is of an older version; fit again"):
        old.codec(dim=8, encoding="int4")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"centre_8": np.zeros(7, np.float32)}, "its tensors are not those of codes"),
        ({"centre_16": np.zeros(16, np.float32), "steps_16": np.ones(4, np.float32)}, "are not those of codes"),
        ({"surplus": np.zeros(1, np.float32)}, "are not those of codes"),
        ({"steps_8": np.zeros(4, np.float32)}, "steps_8 holds numbers that are no codes'"),
        ({"centre_8": np.full(8, np.nan, np.float32)}, "centre_8 holds numbers"),
    ],
)
def test_codes_that_are_none_are_refused(spoil: dict[str, Any], message: str) -> None:
    codes = fit_codes(example(), matrix(4), matrix(5), 0)
    assert from_files(with_codes(example(), codes).to_files()).codec(dim=8, encoding="int2").bytes_per_vector == 2
    with pytest.raises(InputError, match=message):
        from_files(with_codes(example(), {**codes, **spoil}).to_files())


def test_tensors_that_do_not_fit_the_form_are_refused() -> None:
    with pytest.raises(InputError, match="do not fit together"):
        from_files(build(description(architecture="mlp"), {"linear": matrix()}, matrix()).to_files())
    with pytest.raises(InputError, match=r"linear is float32 \(12, 12\), expected float32 \(13, 13\)"):
        from_files(build(description(input_dim=13), {"linear": matrix()}, matrix()).to_files())


@pytest.mark.parametrize(
    ("vectors", "dim", "message"),
    [
        (np.zeros((2, 5)), 4, r"shape \(2, 5\), but this adaptor takes \(n, 12\)"),
        (np.zeros(5), 4, r"shape \(5,\), but .* or one vector \(12,\)"),
        (np.zeros((2, 2, DIM)), 4, r"shape \(2, 2, 12\)"),
        (1.0, 4, r"shape \(\)"),
        ([], 4, r"shape \(0,\)"),
        ([[1.0] * DIM, [1.0] * 5], 4, "vectors are ragged: their rows differ in length"),
        ([["1"] * DIM], 4, "vectors are of type <U1: give numbers"),
        ([[None] * DIM], 4, "vectors are of type object"),
        ([[True] * DIM], 4, "vectors are of type bool"),
        ([[1.0, np.nan] * 6], 4, "row 0 holds NaN"),
        (np.full((2, DIM), 1e300), 4, "row 0 holds NaN, infinity or overflows float32"),
        (np.ones((2, DIM)), 13, "dim is 13, but this adaptor gives 1 to 12"),
        (np.ones((2, DIM)), 0, "dim is 0"),
        (np.array([[1.0] * DIM, [np.nan] * DIM]), 4, "row 1 holds NaN"),
        (np.full((1, DIM), np.inf), 4, "row 0 holds NaN, infinity"),
    ],
)
def test_bad_input_is_named(vectors: Any, dim: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        example().transform(vectors, dim=dim)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, DIM), st.integers(0, 99), st.floats(-12, 12), st.sampled_from([np.float16, np.float32, np.float64])
)
def test_rows_keep_length_one_whatever_their_scale_and_type(dim: int, seed: int, exponent: float, kind: Any) -> None:
    e = matrix(seed) * np.float64(10) ** (exponent if kind is not np.float16 else exponent / 6)
    short = example().transform(e.astype(kind), dim=dim)
    assert short.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(short.astype(np.float64), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_lists_single_vectors_and_integers_are_vectors(metric: str) -> None:
    adaptor, rows = example(metric=metric), np.arange(3 * DIM).reshape(3, DIM) - 7
    expected = adaptor.transform(rows.astype(np.float32), dim=4)
    for vectors in (rows, rows.astype(np.int8), rows.tolist(), list(rows), rows.astype(np.float64), rows[::-1][::-1]):
        np.testing.assert_array_equal(adaptor.transform(vectors, dim=4), expected)
    for vector in (rows[1], rows[1].tolist(), tuple(rows[1].tolist())):
        one = adaptor.transform(vector, dim=4)
        assert one.shape == (4,)
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, expected[1], rtol=1e-6)


def test_a_zero_row_stays_zero_and_blocks_do_not_show() -> None:
    e = np.random.default_rng(0).normal(size=(9000, DIM)).astype(np.float32)
    e[8500] = 0
    short = example().transform(e, dim=4)
    assert (short[8500] == 0).all()
    np.testing.assert_allclose(short[4000:4200], example().transform(e[4000:4200], dim=4), atol=1e-6)
    assert example().transform(e[:0], dim=4).shape == (0, 4)


@pytest.mark.parametrize("uri", ["s3://bucket/adaptor", "gs://bucket/x", "file:///tmp/x", Path("s3://bucket/adaptor")])
def test_the_uri_of_an_object_store_is_refused_with_what_to_do(uri: str | Path) -> None:
    with pytest.raises(
        InputError, match=r"copy adaptor\.safetensors, .* or read them .* adaptor\.from_files"
    ) as caught:
        adaptor.load(uri)
    assert str(caught.value).startswith(f"{uri} is a URI")
    files = example().to_files()
    assert adaptor.from_files(files).adaptor_id == example().adaptor_id


def test_loading_and_using_it_is_quick_and_needs_no_torch(tmp_path: Path) -> None:
    for name, content in example().to_files().items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import sys, adaptor\n"
        f"short = adaptor.load({str(tmp_path)!r}).transform([[1.0] * {DIM}], dim=4)\n"
        "heavy = ('torch', 'ray', 'faiss', 'pyarrow', 'pandas', 'scipy', 'matplotlib', 'yaml', 'jobs', 'cluster')\n"
        "print(short.shape, [m for m in heavy if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.strip() == "(1, 4) []"
    # Of the processor: other processes may be busy meanwhile.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
