"""Which extra of this package brings a library that is not installed. Standard library only."""

from __future__ import annotations

from importlib.util import find_spec

#: What evaluate draws its HTML report with. Everything else works without.
REPORT_LIBRARIES = ("jinja2", "markupsafe", "matplotlib")

_JOBS_LIBRARIES = (
    "aiobotocore",
    "botocore",
    "faiss",
    "fsspec",
    "pandas",
    "pyarrow",
    "pytrec_eval",
    "ray",
    "requests",
    "rich",
    "ruamel",
    "s3fs",
    "threadpoolctl",
    "torch",
)
_EXTRAS = dict.fromkeys(REPORT_LIBRARIES, "report") | dict.fromkeys(_JOBS_LIBRARIES, "jobs,cpu")


def install_hint(module: str | None) -> str | None:
    """How to install what brings `module` (a dotted name), in one line; None when no extra of ours does."""
    library = (module or "").partition(".")[0]
    if library not in _EXTRAS:
        return None
    return f"{library} is not installed: pip install 'matryoshka-adaptor[{_EXTRAS[library]}]'"


def report_hint() -> str | None:
    """How to install what evaluate's HTML report needs; None when it is there."""
    missing = [library for library in REPORT_LIBRARIES if find_spec(library) is None]
    return install_hint(missing[0]) if missing else None
