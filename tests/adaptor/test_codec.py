"""The codes against an independent float64 implementation, and against faiss: every bit where it is said to be."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.artefact import Adaptor, build, from_files, with_codes
from adaptor.code_fitting import fit_codes, usual_dims
from adaptor.codec import BITS, Codec, coded_dims
from adaptor.errors import InputError
from adaptor.pca import moments, rotation
from adaptor.quantisers import MidRise, SymmetricInt8
from adaptor.settings import Metric

DIM, SHORT = 40, 32
PACKED = {"int4": 4, "int2": 2, "binary": 1}
CODED = ("int8", "uint8", *PACKED)


def sample(rows: int = 600, seed: int = 0, shift: float = 0.3) -> Any:
    """Rows (n, DIM) whose coordinates differ in spread, and whose mean is not zero."""
    draws = np.random.default_rng(seed)
    spread = np.geomspace(1, 0.1, DIM)
    return (draws.normal(size=(rows, DIM)) * spread + shift).astype(np.float32)


def fitted(metric: Metric = "cosine", architecture: str = "linear") -> Adaptor:
    rows = sample()
    basis = rotation(moments(rows, metric))
    tensors = {"linear": basis}
    if architecture == "mlp":
        draws = np.random.default_rng(3)
        shapes = {"hidden_weight": (DIM, 6), "hidden_bias": (6,), "output_weight": (6, DIM), "output_bias": (DIM,)}
        tensors |= {name: (0.3 * draws.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    about = {"input_dim": DIM, "dims": [8, SHORT], "metric": metric, "architecture": architecture}
    bare = build({**about, "unit_input": False, "recipe": {}, "settings": {}}, tensors, basis)
    return with_codes(bare, fit_codes(bare, rows, rows[:0], 0))


@pytest.fixture(scope="module")
def adaptor() -> Adaptor:
    return fitted()


def levels(codec: Codec, bits: int, codes: Any) -> Any:
    """Numbers (n, m) of packed codes, one number after another, in float64."""
    quantiser = codec.quantiser
    assert isinstance(quantiser, MidRise)
    numbers = []
    for code in codes:
        row = []
        for byte in code.tolist():
            text = f"{byte:08b}"
            parts = [text[at : at + bits] for at in range(0, 8, bits)]
            row += [int(part, 2) for part in (parts if bits == 1 else parts[::-1])]
        numbers.append(row)
    return (np.array(numbers) - 2 ** (bits - 1) + 0.5) * quantiser.step + quantiser.centre.astype(np.float64)


@pytest.mark.parametrize(("encoding", "bits"), PACKED.items())
def test_each_packed_number_is_the_nearest_level(encoding: str, bits: int, adaptor: Adaptor) -> None:
    codec, rows = adaptor.codec(dim=SHORT, encoding=encoding), sample(50, 7)
    codes = codec.encode(rows)
    assert codes.dtype == np.uint8
    assert codes.shape == (50, SHORT * bits // 8)
    decoded, exact = levels(codec, bits, codes), codec.transform(rows).astype(np.float64)
    np.testing.assert_allclose(codec.reconstruct(codes), decoded, atol=1e-6)
    quantiser = codec.quantiser
    grid = (np.arange(2**bits) - 2 ** (bits - 1) + 0.5)[:, None, None] * quantiser.tolerance(decoded[:1, :1]) * 2
    nearest = np.abs(grid + quantiser.centre - exact).min(axis=0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.abs(decoded - exact), nearest, atol=1e-6)


def test_bits_are_those_of_packbits_and_nibbles_those_of_faiss(adaptor: Adaptor) -> None:
    rows = sample(30, 3)
    binary = adaptor.codec(dim=SHORT, encoding="binary")
    signs = binary.transform(rows) >= binary.quantiser.centre  # type: ignore[attr-defined]
    np.testing.assert_array_equal(binary.encode(rows), np.packbits(signs, axis=1))
    int4 = adaptor.codec(dim=SHORT, encoding="int4")
    quantiser = int4.quantiser
    assert isinstance(quantiser, MidRise)
    index = faiss.IndexScalarQuantizer(SHORT, faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    low = quantiser.centre - 8 * quantiser.step
    faiss.copy_array_to_vector(np.concatenate([low, np.full(SHORT, 15 * quantiser.step, np.float32)]), index.sq.trained)
    np.testing.assert_allclose(index.sa_decode(int4.encode(rows)), int4.reconstruct(int4.encode(rows)), atol=1e-6)


@pytest.mark.parametrize("encoding", ["int8", "uint8"])
def test_whole_numbers_are_rounded_and_clipped_never_wrapped(encoding: str, adaptor: Adaptor) -> None:
    codec = adaptor.codec(dim=SHORT, encoding=encoding)
    quantiser = codec.quantiser
    assert isinstance(quantiser, SymmetricInt8)
    numbers = np.array([[-1e30, -128.4, -127.4, -1.6, 0.4, 126.6, 127.6, 1e30] * 4], np.float32) * quantiser.step
    stored = quantiser.quantise(numbers)[0, :8].astype(int) - quantiser.offset
    assert stored.tolist() == [-127, -127, -127, -2, 0, 127, 127, 127]
    assert quantiser.clipped(numbers) == 4 * 4
    assert quantiser.step == pytest.approx(np.abs(codec.transform(sample())).max() / 127, rel=1e-5)


def test_int8_codes_compare_as_they_are(adaptor: Adaptor) -> None:
    codec, rows = adaptor.codec(dim=SHORT, encoding="int8"), sample(300, 5)
    codes, short = codec.encode(rows).astype(np.float64), adaptor.transform(rows, dim=SHORT).astype(np.float64)
    cosines = codes @ codes.T / np.linalg.norm(codes, axis=1)[:, None] / np.linalg.norm(codes, axis=1)
    assert np.abs(cosines - short @ short.T).max() < 0.02
    shifted = adaptor.codec(dim=SHORT, encoding="uint8").encode(rows).astype(np.float64)
    assert np.array_equal(shifted, codes + 128)
    distances = np.square(shifted[:, None, :50] - shifted[None, :, :50]).sum(2)
    np.testing.assert_array_equal(distances, np.square(codes[:, None] - codes[None]).sum(2))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("encoding", [*CODED, "float32", "float16"])
def test_scores_are_those_of_the_decoded_vectors(encoding: str, metric: Metric) -> None:
    codec = fitted(metric).codec(dim=SHORT, encoding=encoding)
    queries, codes = sample(9, 1), codec.encode(sample(5000, 2))
    asked, decoded = codec.transform(queries).astype(np.float64), codec.reconstruct(codes).astype(np.float64)
    expected = -np.square(asked[:, None] - decoded).sum(2) if metric == "l2" else asked @ decoded.T
    if metric == "cosine":
        expected /= np.linalg.norm(decoded, axis=1)
    np.testing.assert_allclose(codec.score(queries, codes), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["linear", "mlp"])
@pytest.mark.parametrize("encoding", CODED)
def test_decoded_is_about_what_transform_gives(encoding: str, architecture: str) -> None:
    adaptor = fitted(architecture=architecture)
    codec, rows = adaptor.codec(dim=SHORT, encoding=encoding), sample(400, 8)
    decoded, short = codec.decode(codec.encode(rows)), adaptor.transform(rows, dim=SHORT)
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-5)
    least = {"int8": 0.999, "uint8": 0.999, "int4": 0.98, "int2": 0.85, "binary": 0.7}[encoding]
    assert (decoded * short).sum(1).mean() > least


def test_a_rotation_changes_no_inner_product(adaptor: Adaptor) -> None:
    rows = sample(80, 4)
    turned, plain = adaptor.codec(dim=SHORT, encoding="int2").transform(rows), adaptor.transform(rows, dim=SHORT)
    np.testing.assert_allclose(turned @ turned.T, plain @ plain.T, atol=2e-6)
    assert np.abs(turned - plain).max() > 0.1
    spread = turned.std(axis=0)
    assert spread.max() / spread.min() < plain.std(axis=0).max() / plain.std(axis=0).min() / 2


@given(bits=st.sampled_from([1, 2, 4]), bytes_=st.integers(1, 9), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_code_is_read_back_as_it_was_written(bits: int, bytes_: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    quantiser = MidRise(bits, 0.25, draws.normal(size=bytes_ * 8 // bits).astype(np.float32))
    codes = draws.integers(0, 256, (5, bytes_), np.uint8)
    np.testing.assert_array_equal(quantiser.quantise(quantiser.reconstruct(codes)), codes)
    assert quantiser.width == bytes_


def test_steps_have_the_least_squared_error(adaptor: Adaptor) -> None:
    for encoding in PACKED:
        codec = adaptor.codec(dim=SHORT, encoding=encoding)
        quantiser, rows = codec.quantiser, codec.transform(sample())
        assert isinstance(quantiser, MidRise)

        def error(step: float, quantiser: MidRise = quantiser, rows: Any = rows) -> float:
            other = MidRise(quantiser.bits, step, quantiser.centre)
            return float(np.square(other.reconstruct(other.quantise(rows)) - rows).mean())

        best = error(quantiser.step)
        assert all(best <= error(quantiser.step * factor) for factor in (0.8, 0.9, 1.1, 1.25))


def test_centres_are_the_mean_of_the_sample(adaptor: Adaptor) -> None:
    codec = adaptor.codec(dim=SHORT, encoding="binary")
    mean = codec.transform(sample()).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(codec.quantiser.centre, mean, atol=1e-6)  # type: ignore[attr-defined]


def test_codes_are_part_of_the_artefact_and_of_its_id(adaptor: Adaptor) -> None:
    again = from_files(adaptor.to_files())
    rows = sample(20, 6)
    for encoding in BITS:
        same = again.codec(dim=8, encoding=encoding).encode(rows)
        np.testing.assert_array_equal(same, adaptor.codec(dim=8, encoding=encoding).encode(rows))
    other = with_codes(adaptor, fit_codes(adaptor, sample(seed=2), sample(100, 3), 0))
    assert other.adaptor_id != adaptor.adaptor_id
    np.testing.assert_array_equal(other.transform(rows, dim=8), adaptor.transform(rows, dim=8))


def test_dims_with_codes() -> None:
    dims = usual_dims(384, (16, 100, 384))
    assert dims[:3] == [8, 16, 24]
    assert {128, 136, 168, 256, 288, 384} <= set(dims)
    assert 100 not in dims
    assert all(dim % 8 == 0 for dim in dims)
    assert usual_dims(4, (4,)) == []
    assert max(usual_dims(4096, ())) == 4096
    assert len(usual_dims(4096, ())) == 64


def test_what_cannot_be_coded_is_refused(adaptor: Adaptor) -> None:
    with pytest.raises(InputError, match=r"encoding is 'int3': give one of float32, float16, int8"):
        adaptor.codec(dim=8, encoding="int3")
    with pytest.raises(InputError, match=r"no int4 codes were fitted at dim 12: take one of 8, 16, 24, 32, 40"):
        adaptor.codec(dim=12, encoding="int4")
    with pytest.raises(InputError, match=r"dim is 41, but this adaptor gives 1 to 40"):
        adaptor.codec(dim=41, encoding="binary")
    bare = build({**adaptor.document}, adaptor.tensors, adaptor.rotation)
    with pytest.raises(
        InputError, match=r"has no codes for int8: it is of an older version; fit again, or use float16"
    ):
        bare.codec(dim=8, encoding="int8")
    assert bare.codec(dim=7, encoding="float16").bytes_per_vector == 14


def test_foreign_and_cut_codes_are_refused(adaptor: Adaptor) -> None:
    codec, rows = adaptor.codec(dim=SHORT, encoding="int4"), sample(5)
    codes = codec.encode(rows)
    for wrong in (codes[:, :-1], codes.astype(np.int8), adaptor.codec(dim=SHORT, encoding="int2").encode(rows)):
        for read in (codec.reconstruct, codec.decode, lambda c: codec.score(rows, c)):
            with pytest.raises(InputError, match=r"but int4 at dim 32 is uint8 \(n, 16\)"):
                read(wrong)
    queries = sample(3)
    queries[1, 4] = np.nan
    with pytest.raises(InputError, match="row 1 holds NaN"):
        codec.score(queries, codes)


def untrained(metric: Metric, rows: Any) -> Adaptor:
    """PCA of some rows, without codes."""
    basis = rotation(moments(rows, metric))
    about = {"input_dim": DIM, "dims": [SHORT], "metric": metric, "architecture": "linear", "unit_input": False}
    return build({**about, "recipe": {}, "settings": {}}, {"linear": basis}, basis)


def test_distances_far_from_the_origin_do_not_cancel() -> None:
    rows = sample(800, 3) + np.float32(300)
    codec = untrained("l2", rows).codec(dim=SHORT, encoding="float32")
    codes, queries = codec.encode(rows), rows[:20]
    exact = -np.square(codec.transform(queries).astype(np.float64)[:, None] - codes.astype(np.float64)).sum(2)
    np.testing.assert_allclose(codec.score(queries, codes), exact, rtol=1e-3, atol=2e-3)


def test_a_few_far_longer_vectors_do_not_take_the_levels_of_all_others() -> None:
    rows = sample(3000, 3, shift=0.0)
    bare, odd = untrained("dot", rows), rows.copy()
    odd[7] *= 1e4
    for encoding in CODED:
        errors = []
        for learned in (rows, odd):
            codec = with_codes(bare, fit_codes(bare, learned, rows[:0], 0)).codec(dim=SHORT, encoding=encoding)
            errors.append(np.square(codec.reconstruct(codec.encode(rows)) - codec.transform(rows)).mean())
        assert errors[1] < 20 * errors[0], encoding  # the range is wider, but far from 1e8 times


def test_a_learned_rotation_is_stored_and_used(adaptor: Adaptor) -> None:
    rows, turn = sample(900, 5), np.linalg.qr(np.random.default_rng(8).normal(size=(SHORT, SHORT)))[0]
    codes = fit_codes(adaptor, rows, rows[:0], 0, [SHORT]) | {f"rotation_{SHORT}": turn.astype(np.float32)}
    codec = from_files(with_codes(adaptor, codes).to_files()).codec(dim=SHORT, encoding="int8")
    plain = adaptor.transform(rows, dim=SHORT).astype(np.float64)
    np.testing.assert_allclose(codec.transform(rows), plain @ turn, atol=1e-5)
    quantiser = codec.quantiser
    np.testing.assert_allclose(
        codec.rotation.invert(codec.transform(rows).astype(np.float64)),  # type: ignore[union-attr]
        plain,
        atol=1e-5,
    )
    assert quantiser.width == SHORT


def test_codes_given_to_an_older_artefact_make_it_a_new_one(adaptor: Adaptor) -> None:
    document = {k: v for k, v in adaptor.document.items() if k != "codes_sha256"} | {"format": 1}
    new = with_codes(Adaptor(document, adaptor.tensors, adaptor.pca), adaptor.codes)
    assert new.adaptor_id == adaptor.adaptor_id
    assert from_files(new.to_files()).codec(dim=8, encoding="int2").bytes_per_vector == 2


def test_one_vector_is_coded_like_many(adaptor: Adaptor) -> None:
    codec, rows = adaptor.codec(dim=SHORT, encoding="int2"), sample(3)
    np.testing.assert_array_equal(codec.encode(rows[1].tolist()), codec.encode(rows)[1])
    np.testing.assert_array_equal(codec.decode(codec.encode(rows[1])), codec.decode(codec.encode(rows))[1])
    fortran = np.asfortranarray(codec.transform(rows))
    np.testing.assert_array_equal(codec.quantiser.quantise(fortran), codec.encode(rows))
    assert coded_dims(adaptor.codes)[-1] == 40
