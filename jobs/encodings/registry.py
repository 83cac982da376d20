"""Encodings by the name that `output.encoding` gives them. To add one: a module beside this one, and a line here."""

from __future__ import annotations

#: Name → `module:object` of an `Encoding` (encoding.py); imported only when it is used, so that help is instant.
ENCODINGS: dict[str, str] = {
    "float32": "jobs.encodings.numbers:Float32",
    "float16": "jobs.encodings.numbers:Float16",
    "int8": "jobs.encodings.numbers:Int8",
    "uint8": "jobs.encodings.numbers:Uint8",
    "int4": "jobs.encodings.packed:Int4",
    "int2": "jobs.encodings.packed:Int2",
    "binary": "jobs.encodings.packed:Binary",
}
