"""An output version as something to search: exactly, by its codes, from any store; or as a ready faiss index.

from jobs.search.coded_output import open_coded_output
output = open_coded_output("s3://bucket/short/6a8f…-d384-binary+d192-float16", adaptor.load("out/adaptor"))
hits = output.search(query_vectors, k=10, candidates=100)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from adaptor.artefact import Adaptor
from adaptor.code_search import rescore, search_codes
from adaptor.codec import Codec
from adaptor.errors import InputError
from adaptor.quantisers import Codes
from adaptor.rows import Floats, Ids, as_numbers
from jobs.commits.manifest import Manifest, OutputFile
from jobs.commits.output_version import DESCRIPTION
from jobs.commits.version_reader import VersionReader
from jobs.config.sections import FilesystemOptions
from jobs.encodings.stored import stored_codes
from jobs.outputs.output_format import STAMP
from jobs.sources.ids import id_strings
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

_READ_ROWS = 65_536
#: What the description must tell.
_DESCRIBED = {"dim", "encoding", "file_format", "id_column", "vector_column"}


@dataclass(frozen=True)
class Hits:
    """The best rows of each query, best first: `ids` as text, None where there are no more, and `similarities` float32
    (q, k)."""

    ids: list[list[str | None]]
    similarities: Floats


@dataclass(frozen=True, kw_only=True)
class CodedOutput:
    """An output version as its manifest says, and the codecs of its columns."""

    objects: Objects
    manifest: Manifest
    id_column: str
    vector_column: str
    codec: Codec
    rescore_column: str | None
    rescore_codec: Codec | None
    files: Sequence[OutputFile]
    """The files that count, in the order of their keys."""

    def search(self, queries: ArrayLike, *, k: int, candidates: int | None = None) -> Hits:
        """The k nearest rows of each query, original vectors (q, d), exact over all codes. With `candidates` so many
        are found first and rescored by the second column.

        Raises InputError for NaN queries, another shape, `candidates` without a second column, or a damaged file.
        """
        asked = np.atleast_2d(as_numbers(queries))
        if candidates is None:
            rows, scores = search_codes(self.codec, asked, self.blocks(self.vector_column), k)
        elif self.rescore_codec is None or self.rescore_column is None:
            raise InputError(f"{self.objects.uri} has no second column to rescore with: compress with output.rescore")
        else:
            first, _ = search_codes(self.codec, asked, self.blocks(self.vector_column), max(k, candidates))
            rows, scores = first[:, :k], np.full((len(first), k), -np.inf, np.float32)
            if (first >= 0).any():
                better = stored_codes(self._rows(self.rescore_column, first.ravel()))
                rows, scores = rescore(self.rescore_codec, asked, first, better, k)
        names = np.full(rows.shape, None, object)
        if (rows >= 0).any():
            names[:] = np.array(id_strings(self._rows(self.id_column, rows.ravel())), object).reshape(rows.shape)
            names[rows < 0] = None
        return Hits(names.tolist(), scores)

    def faiss_index(self, kind: str = "flat") -> Any:
        """A faiss index of all codes, numbered as `ids` (adaptor/faiss_index.py). Raises InputError as it does."""
        from adaptor.faiss_index import build_index  # faiss is wanted here only

        return build_index(self.codec, self.blocks(self.vector_column), kind)

    def ids(self) -> Iterator[str | None]:
        """The ids of all rows, as text."""
        for file in self.files:
            for batch in self._read(file, self.id_column):
                yield from id_strings(batch)

    def blocks(self, column: str) -> Iterator[Codes]:
        """The codes of a column, (n, width) each."""
        for file in self.files:
            for batch in self._read(file, column):
                yield stored_codes(batch)

    def _rows(self, column: str, rows: Ids) -> pa.Array:
        """What a column holds at rows (n,), any in place of -1. Only files with such rows are read."""
        starts = np.cumsum([0, *(file.rows for file in self.files)])
        wanted, places = np.unique(np.maximum(rows, 0), return_inverse=True)
        files = np.searchsorted(starts, wanted, side="right") - 1
        parts = []
        for number in np.unique(files).tolist():
            whole = pa.chunked_array([*self._read(self.files[number], column)])
            parts.append(whole.take(wanted[files == number] - starts[number]).combine_chunks())
        return pa.concat_arrays(parts).take(places)

    def _read(self, file: OutputFile, column: str) -> Iterator[Any]:
        for batch in VersionReader(self.objects, self.manifest).batches(file, _READ_ROWS, [column]):
            yield batch.column(column)


def open_coded_output(
    uri: str, adaptor: Adaptor, filesystem: FilesystemOptions | None = None, sequence: int | None = None
) -> CodedOutput:
    """Open the folder of an output version, local, on S3 or anything that fsspec knows, as of a sequence or the newest.

    Raises InputError when it is none or damaged, when it or one of its files is of another adaptor, dim or encoding.
    """
    objects = open_objects(uri, filesystem or FilesystemOptions())
    described = _description(objects, adaptor)
    reader = VersionReader.open(objects, sequence)
    for file in reader.manifest.files:
        _check(reader, file, described)
    second = described.get("rescore")
    return CodedOutput(
        objects=objects,
        manifest=reader.manifest,
        files=reader.manifest.files,
        id_column=described["id_column"],
        vector_column=described["vector_column"],
        codec=adaptor.codec(dim=described["dim"], encoding=described["encoding"]),
        rescore_column=second and second["column"],
        rescore_codec=second and adaptor.codec(dim=second["dim"], encoding=second["encoding"]),
    )


def _description(objects: Objects, adaptor: Adaptor) -> dict[str, Any]:
    if objects.stat(DESCRIPTION) is None:
        raise InputError(f"{objects.uri} holds no output version ({DESCRIPTION} is missing): run compress first")
    try:
        described: dict[str, Any] = json.loads(objects.read(DESCRIPTION))
        owner = str(described["adaptor_id"])
        if missing := _DESCRIBED - described.keys():
            raise ValueError(f"{', '.join(sorted(missing))} missing")
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{objects.uri}/{DESCRIPTION} is damaged ({problem}): restore it") from problem
    if owner != adaptor.adaptor_id:
        raise InputError(
            f"{objects.uri} was made by adaptor {owner[:16]}, given is {adaptor.adaptor_id[:16]}: "
            "its codes mean nothing to another one; give the adaptor that made it"
        )
    return described


def _check(reader: VersionReader, file: OutputFile, described: dict[str, Any]) -> None:
    """Raises InputError unless the file is the one that the manifest names, of the folder's adaptor, dims and
    encodings."""
    contents, where = reader.describe(file), f"{reader.objects.uri}/{file.path}"
    metadata = contents.schema.metadata or {}
    expected = {name: described[name] for name in ("adaptor_id", "dim", "encoding")} | {"source": file.shard}
    if described.get("rescore"):
        expected["rescore"] = json.dumps(described["rescore"])
    for name, value in expected.items():
        found = metadata.get(STAMP + name.encode(), b"nothing").decode(errors="replace")
        if found != str(value):
            raise InputError(f"{where}: its footer says {name} {found}, expected is {value}; it does not belong here")
    if contents.rows != file.rows:
        raise InputError(f"{where} has {contents.rows} rows, the manifest says {file.rows}: run verify")
