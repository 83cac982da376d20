"""Which extra of this package brings a library that is not installed. Standard library only."""

from __future__ import annotations

import sys
from importlib.util import find_spec

#: What evaluate draws its HTML report with. Everything else works without.
REPORT_LIBRARIES = ("jinja2", "markupsafe", "matplotlib")
#: Libraries of table formats, of query sides and of the targets of export, and the extra that brings each.
_EXTRAS = {
    "deltalake": "delta",
    "pyiceberg": "iceberg",
    "lance": "lance",
    "onnx": "onnx",
    "lancedb": "lancedb",
    "psycopg": "pgvector",
    "qdrant_client": "qdrant",
    "pymilvus": "milvus",
    "redis": "redis",
}
#: What is missing when something is wrong with this package or with Python.
_NO_LIBRARIES = {"", "adaptor", "cluster", "jobs", *sys.stdlib_module_names}


def install_hint(module: str | None) -> str | None:
    """How to install what brings `module` (a dotted name), in one line; None when no extra of ours does."""
    library = (module or "").partition(".")[0]
    if library in _NO_LIBRARIES:
        return None
    extra = "report" if library in REPORT_LIBRARIES else _EXTRAS.get(library, "jobs,cpu")
    return f"{library} is not installed: pip install 'matryoshka-adaptor[{extra}]'"


def report_hint() -> str | None:
    """How to install what evaluate's HTML report needs; None when it is there."""
    return next((install_hint(library) for library in REPORT_LIBRARIES if find_spec(library) is None), None)
