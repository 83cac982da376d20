"""faiss finds, with raw queries and the codes as they are, what our own scoring finds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from adaptor import code_search
from adaptor.code_search import rescore, search_codes
from adaptor.codec import Codec
from adaptor.errors import InputError
from adaptor.faiss_index import build_index
from adaptor.settings import Metric
from tests.adaptor.test_codec import SHORT, fitted, sample

ENCODINGS = ("float32", "float16", "int8", "uint8", "int4", "int2", "binary")


def coded(metric: Metric, encoding: str) -> tuple[Codec, list[Any]]:
    codec = fitted(metric).codec(dim=SHORT, encoding=encoding)
    codes = codec.encode(sample(2500, 2))
    return codec, [codes[:900], codes[900:]]


@pytest.mark.parametrize(("metric", "encoding"), [*product(["cosine", "dot", "l2"], ENCODINGS)])
def test_the_k_best_are_those_of_a_full_sort(metric: Metric, encoding: str) -> None:
    codec, blocks = coded(metric, encoding)
    queries = sample(40, 9)
    rows, scores = search_codes(codec, queries, blocks, 10)
    every = codec.score(queries, np.concatenate(blocks))
    expected = np.argsort(-every, axis=1, kind="stable")[:, :10]
    assert (rows == expected).mean() > 0.999  # a last bit may turn two about
    np.testing.assert_allclose(scores, np.take_along_axis(every, expected, 1), rtol=1e-5, atol=1e-6)
    _, found = build_index(codec, blocks).search(queries, 10)
    assert (found == rows).mean() > 0.999


def test_fewer_codes_than_k_leave_gaps() -> None:
    codec, blocks = coded("cosine", "binary")
    rows, scores = search_codes(codec, sample(2), [blocks[0][:3], blocks[0][:0], blocks[0][3:7]], 9)
    assert np.sort(rows[:, :7], axis=1).tolist() == [[*range(7)]] * 2
    assert rows[:, 7:].tolist() == [[-1, -1]] * 2
    assert np.isneginf(scores[:, 7:]).all()


@pytest.mark.parametrize(("metric", "encoding"), [*product(["dot", "l2"], ["float16", "int8", "int4"])])
def test_a_scalar_quantizer_takes_the_codes_as_they_are(metric: Metric, encoding: str) -> None:
    codec, blocks = coded(metric, encoding)
    queries = sample(40, 9)
    index, (rows, _) = build_index(codec, blocks, "scalar"), search_codes(codec, queries, blocks, 10)
    assert (index.search(queries, 10)[1] == rows).mean() > 0.999
    assert index.ntotal == 2500


def test_sign_codes_are_compared_by_hamming_distance() -> None:
    codec, blocks = coded("cosine", "binary")
    asked = codec.encode(sample(20, 9))
    distances, _ = build_index(codec, blocks, "binary").search(asked, 10)
    every = np.unpackbits(asked[:, None] ^ np.concatenate(blocks)[None], axis=2).sum(2)
    np.testing.assert_array_equal(distances, np.sort(every, axis=1)[:, :10])


def test_rescoring_all_codes_is_searching_with_the_better_ones() -> None:
    coarse, blocks = coded("cosine", "binary")
    better, finer = coded("cosine", "float32")
    queries = sample(15, 9)
    first, _ = search_codes(coarse, queries, blocks, 2500)
    rows, _ = rescore(better, queries, first, np.concatenate(finer)[first.ravel()], 10)
    np.testing.assert_array_equal(rows, search_codes(better, queries, finer, 10)[0])


def test_rescoring_wants_a_code_for_each_candidate() -> None:
    codec, blocks = coded("cosine", "int4")
    rows, scores = rescore(codec, sample(1), np.array([[3, -1, 5]]), blocks[0][[3, 0, 5]], 3)
    assert rows[0, 2] == -1
    assert np.isneginf(scores[0, 2])
    with pytest.raises(InputError, match="2 codes were given for 3 candidate rows"):
        rescore(codec, sample(1), np.array([[3, 4, 5]]), blocks[0][:2], 3)


def test_rows_are_counted_over_blocks_and_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, blocks = coded("cosine", "int8")
    whole = search_codes(codec, sample(5), blocks, 7)
    monkeypatch.setattr(code_search, "_SCORES", 5 * 64)
    np.testing.assert_array_equal(search_codes(codec, sample(5), blocks, 7)[0], whole[0])


def test_what_faiss_cannot_hold_is_refused() -> None:
    codec, blocks = coded("cosine", "int2")
    with pytest.raises(InputError, match="kind is 'scalar': int2 codes take flat"):
        build_index(codec, blocks, "scalar")
    with pytest.raises(InputError, match=r"codes are uint8 \(3, 4\), but int2 at dim 32 is uint8 \(n, 8\)"):
        build_index(codec, [np.zeros((3, 4), np.uint8)])
    with pytest.raises(InputError, match="faiss cannot compute the mlp architecture"):
        build_index(fitted(architecture="mlp").codec(dim=SHORT, encoding="int4"), [])
