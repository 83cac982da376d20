"""faiss: a folder with `index.faiss` and `ids.parquet` (row of the index → id). The adaptor's map stands before the
index, so that it takes queries as the embedding model makes them; bits take `Codec.encode` of them.

An index file is made anew whenever something changed: faiss has no place for changes beside it. Memory holds the index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import faiss
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor
from adaptor.codec import Codec
from adaptor.errors import InputError, RunError
from adaptor.faiss_index import build_index
from adaptor.quantisers import Codes
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection
from jobs.export.folder import NOTE, open_note
from jobs.export.rows import Rows
from jobs.export.state import State
from jobs.export.target import Takes
from jobs.storage.open import open_objects

INDEX, IDS = "index.faiss", "ids.parquet"
_KIND = "index_kind"


class Faiss:
    """A `Target`. Files lie in the folder of the collection; the note tells while they are replaced."""

    takes: ClassVar[Takes] = Takes(
        encodings=dict.fromkeys(("float32", "float16", "int8", "uint8", "int4", "int2", "binary")),
        indexes=("flat", "scalar", "binary"),
        rescore=False,
        adaptor=True,
        whole=True,
        batch_rows=65_536,
    )
    failures: tuple[type[Exception], ...] = (OSError, RuntimeError)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        if adaptor is None:
            raise InputError("faiss takes the adaptor's map along: give adaptor.uri")
        uri = f"{destination.uri.rstrip('/')}/{collection.name}"
        self._objects, self._collection = open_objects(uri, destination.filesystem), collection
        self._kind = destination.index or self.takes.indexes[0]
        self._codec: Codec = adaptor.codec(dim=collection.vector.dim, encoding=collection.vector.encoding)
        build_index(self._codec, [], self._kind)  # refuses what the encoding and the adaptor cannot be
        self._scratch = ExitStack()
        self._folder = Path()
        self._index: Any = None

    def open(self) -> State | None:
        """Read the note. An index of another kind counts as one that is not finished."""
        state = open_note(self._objects, (INDEX, IDS))
        if state is None or state.stamp.pop(_KIND, None) == self._kind:
            return state
        return replace(state, files_loaded=0)

    def create(self, state: State) -> None:
        """A note that the files are on their way."""
        self._objects.check_writable()
        self._objects.put(NOTE, state.to_json().encode())
        self._folder = Path(self._scratch.enter_context(tempfile.TemporaryDirectory(prefix="matryoshka-faiss-")))

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Build the index of all rows, and the file with their ids."""
        schema = pa.schema([self._collection.schema.field(self._collection.id_column)])
        with pq.ParquetWriter(self._folder / IDS, schema) as ids:
            self._index = build_index(self._codec, self._blocks(rows, ids), self._kind)

    def delete(self, rows: Iterator[Rows]) -> None:
        """Never called: changes make a new index."""
        raise RunError("a faiss index is made anew, nothing is deleted from one")

    def save(self, state: State) -> None:
        """Publish the files, then the note, once everything is loaded."""
        if state.files_loaded is not None:
            return
        write = faiss.write_index_binary if self._kind == "binary" else faiss.write_index
        write(self._index, str(self._folder / INDEX))
        for name in (INDEX, IDS):
            self._objects.put_file(name, self._folder / name)
        self._note(state)

    def count(self) -> int:
        """Vectors in the index."""
        return int(self._index.ntotal)

    def finish(self) -> list[str]:
        """Where the files are."""
        return [f"{self._objects.uri}/{INDEX}: its row numbers are those of {IDS}"]

    def close(self) -> None:
        """Remove scratch files."""
        self._scratch.close()

    def _note(self, state: State) -> None:
        noted = replace(state, stamp={**state.stamp, _KIND: self._kind})
        self._objects.put(NOTE, noted.to_json().encode())

    def _blocks(self, rows: Iterator[Rows], ids: pq.ParquetWriter) -> Iterator[Codes]:
        for part in rows:
            ids.write_batch(pa.RecordBatch.from_arrays([part.ids], schema=ids.schema))
            yield part.codes(self._collection.vector)
