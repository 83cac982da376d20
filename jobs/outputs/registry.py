"""Output formats by the name that `output.format` gives them. To add one: a module beside this one, and a line here."""

from __future__ import annotations

#: Name → `module:object` of an `OutputFormat` (output_format.py); imported only when used, so that help is instant.
OUTPUT_FORMATS: dict[str, str] = {
    "parquet": "jobs.outputs.parquet:ParquetFormat",
}
