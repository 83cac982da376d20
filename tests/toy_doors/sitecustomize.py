"""One line each: what a contributor adds to the registries. Python imports this module at its start, workers too."""

from jobs.encodings.registry import ENCODINGS
from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.sources.registry import SOURCES

SOURCES["csv"] = "toy_source:CsvSource"
ENCODINGS["thousandths"] = "toy_encoding:Thousandths"
OUTPUT_FORMATS["arrow"] = "toy_format:ArrowFormat"
