"""Files that are one matrix, a vector a row (npy, fbin): a header, then numbers one after another."""

from __future__ import annotations

import ast
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from jobs.storage.objects import Objects
from jobs.storage.read_failures import read_failure

_NPY_MAGIC = b"\x93NUMPY"
#: Most bytes of an npy header: numpy's own limit.
_HEADER_BYTES = 10_000
_BIN_TYPES = {"fbin": "<f4", "u8bin": "u1", "i8bin": "i1"}


@dataclass(frozen=True)
class MatrixFile:
    """A matrix (rows, dim) of numbers of one type, from byte `offset` of a file on."""

    rows: int
    dim: int
    number: np.dtype[Any]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a vector."""
        return self.dim * self.number.itemsize

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column of vectors."""
        return pa.list_(pa.from_numpy_dtype(self.number.newbyteorder("=")), self.dim)

    def column(self, content: bytes) -> pa.Array:
        """The vectors in these bytes."""
        numbers = np.frombuffer(content, self.number)
        native = numbers.astype(self.number.newbyteorder("="), copy=False)
        return pa.FixedSizeListArray.from_arrays(pa.array(native), self.dim)


def read_header(objects: Objects, key: str, size: int) -> MatrixFile:
    """The header of an npy or fbin file of `size` bytes. `InputError` when the file is neither, or not whole."""
    where = f"{objects.uri}: {key}"
    head = read_bytes(objects, key, 0, min(size, _HEADER_BYTES))
    matrix = _npy(where, head) if head.startswith(_NPY_MAGIC) else _bin(where, key, head)
    if matrix.dim < 1 or matrix.rows < 0:
        raise InputError(f"{where} has {matrix.rows} rows of {matrix.dim} numbers: vectors need at least one")
    expected = matrix.offset + matrix.rows * matrix.row_bytes
    if size != expected:
        raise InputError(
            f"{where} has {size} bytes, its header ({matrix.rows:,} rows of {matrix.dim} {matrix.number}) makes "
            f"{expected}: it is truncated or damaged, write it again"
        )
    return matrix


def read_bytes(objects: Objects, key: str, offset: int, count: int) -> bytes:
    """Some bytes of a file. `InputError` when they are not there; other errors as `read_failure` has them."""
    where = f"{objects.uri}: {key}"
    try:
        with objects.arrow.open_input_file(objects.path(key)) as file:
            content: bytes = file.read_at(count, offset)
    except (pa.ArrowException, OSError) as error:
        if failure := read_failure(objects, key, error, where):
            raise failure from error
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{where} does not exist any more: it was removed after the source was listed") from error
        raise InputError(f"{where} cannot be read: {error}") from error
    if len(content) != count:
        raise InputError(f"{where} ends after {offset + len(content)} bytes: it changed, run the command again")
    return content


def _npy(where: str, head: bytes) -> MatrixFile:
    try:
        long = head[6] >= 2
        length = struct.unpack_from("<I" if long else "<H", head, 8)[0]
        offset = (12 if long else 10) + length
        header = ast.literal_eval(head[12 if long else 10 : offset].decode())
        number, shape, by_columns = np.dtype(header["descr"]), tuple(header["shape"]), bool(header["fortran_order"])
    except (
        ValueError,
        KeyError,
        TypeError,
        SyntaxError,
        IndexError,
        struct.error,
        MemoryError,
        RecursionError,
    ) as error:
        raise InputError(f"{where} is a damaged npy file: {error}") from error
    if number.str[1:] not in ("f2", "f4", "f8", "i1", "u1"):
        raise InputError(f"{where} holds numbers of type {number}: vectors must be float16/32/64, int8 or uint8")
    if len(shape) != 2 or by_columns:
        order = ", column after column" if by_columns else ""
        raise InputError(f"{where} has the shape {shape}{order}: it must be (rows, dim), row after row")
    return MatrixFile(int(shape[0]), int(shape[1]), number, offset)


def _bin(where: str, key: str, head: bytes) -> MatrixFile:
    ending = key.rpartition(".")[2].casefold()
    if ending not in _BIN_TYPES:
        raise InputError(f"{where} is no npy file (it begins with {head[:6]!r}): remove it or leave it out")
    if len(head) < 8:
        raise InputError(f"{where} is truncated ({len(head)} bytes): write it again")
    rows, dim = struct.unpack("<II", head[:8])
    return MatrixFile(rows, dim, np.dtype(_BIN_TYPES[ending]), 8)
