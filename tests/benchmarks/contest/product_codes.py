"""The product's codes at a budget of bytes: of an adaptor, or of PCA, through `Adaptor.codec`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache

from adaptor import code_fitting, codec, quantisers, rotation, rotation_fitting
from adaptor.artefact import Adaptor, with_codes
from adaptor.code_fitting import fit_codes, usual_dims
from adaptor.codec import BITS
from adaptor.training_set import hold_out
from jobs.fit.data import fitted_dims
from tests.benchmarks.contest.codes import Code, CodeMethod, Coder, Material, Pair, decoded
from tests.benchmarks.contest.product import configure
from tests.benchmarks.contest.untrained import pca

#: Share of the rows that decides whether a rotation is learned.
_HELD_OUT = 0.1
#: uint8 is int8 with an offset, so its search is the same.
ENCODINGS = ("float32", "float16", "int8", "int4", "int2", "binary")


def pairs_of(*encodings: str) -> Callable[[int, int], Iterator[Pair]]:
    """The widest of the usual dims that the budget pays, for each encoding."""

    def pairs(input_dim: int, budget: int) -> Iterator[Pair]:
        """Pairs at a budget."""
        for encoding in encodings:
            fitting = [dim for dim in usual_dims(input_dim, ()) if dim * BITS[encoding] <= budget * 8]
            if fitting:
                yield Pair(fitting[-1], encoding)

    return pairs


def coded(adaptor: Adaptor, material: Material) -> Coder:
    """A coder of an adaptor; its codes are fitted on the corpus here, as `matryoshka fit` does on its sample."""
    vectors, seed = material.there.vectors, material.seed
    learned, held_out = hold_out(len(vectors), _HELD_OUT, seed)

    @lru_cache
    def fitted(dim: int) -> Adaptor:
        """With the codes of one dim."""
        return with_codes(adaptor, fit_codes(adaptor, vectors[learned], vectors[held_out], seed, [dim]))

    def code(pair: Pair) -> Code:
        """The codes of a pair."""
        codec = fitted(pair.dim).codec(dim=pair.dim, encoding=pair.encoding)
        documents = codec.reconstruct(codec.encode(vectors))
        return decoded(codec.bytes_per_vector, codec.transform, documents, "cosine")

    return code


def of_pca(material: Material) -> Coder:
    """Codes of the uncentred PCA rotation, said to be trained for the dims that an adaptor is trained for: they learn
    a rotation."""
    adaptor = pca(material.there, material.seed)
    dims = fitted_dims(configure({}, 0, False), adaptor.input_dim)
    return coded(with_codes(adaptor, {}, dims=list(dims)), material)


def _source() -> str:
    """What the results depend on besides the fit: kept ones of another version do not count."""
    texts = (inspect.getsource(module) for module in (code_fitting, codec, quantisers, rotation, rotation_fitting))
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def _of(method: str) -> CodeMethod:
    """Codes of the adaptor that a method of quality.py fits."""
    return CodeMethod(
        pairs_of(*ENCODINGS),
        lambda material: coded(material.adaptor(method), material),
        map=method,
        version=_source(),
    )


PRODUCT = {
    "PCA, float16": CodeMethod(pairs_of("float16"), of_pca, seeds=False, version=_source()),
    "PCA, int8": CodeMethod(pairs_of("int8"), of_pca, seeds=False, version=_source()),
    "PCA, same codes": CodeMethod(pairs_of(*ENCODINGS), of_pca, version=_source()),
    "PCA softly whitened, same codes": _of("pca softly whitened"),
    "ours": _of("default"),
}
#: Only where they are named: they learn from more than the corpus.
OPTIONAL = {
    "ours with a query log": _of("default with queries"),
    "ours with labels": _of("default supervised"),
}
