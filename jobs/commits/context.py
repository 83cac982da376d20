"""What a job of compress, verify or plan works with, opened once in each process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import pyarrow as pa

from adaptor.artefact import Adaptor
from jobs.commits.output_version import check_apart, describe, open_output_version, rescore_column
from jobs.config.compress import CompressConfig, CompressOutputSection
from jobs.config.sections import SourceSection
from jobs.config.verify import VerifyConfig
from jobs.encodings.encoding import Encoding, open_encoding
from jobs.outputs.output_format import OutputFormat, open_output_format
from jobs.outputs.schema import short_schema
from jobs.sources.pinned import pinned
from jobs.sources.source import Shard, Source, open_source
from jobs.storage.adaptors import open_adaptor
from jobs.storage.objects import Objects

#: Keys of the description that every output file carries in its metadata.
_STAMPED = ("adaptor_id", "input_dim", "dim", "metric", "normalised", "encoding", "rescore")

ConfigT = TypeVar("ConfigT", CompressConfig, VerifyConfig)


@dataclass(frozen=True)
class VectorColumn:
    """A column of short vectors in the output."""

    name: str
    dim: int
    encoding: Encoding


@dataclass(frozen=True, kw_only=True)
class JobContext(Generic[ConfigT]):
    """Source, adaptor and output version of one configuration; the output's columns of vectors, the one that stands in
    the place of the source's first."""

    config: ConfigT
    adaptor: Adaptor
    source: Source
    vector_columns: tuple[VectorColumn, ...]
    output_format: OutputFormat
    output_version: Objects

    @classmethod
    def open(cls, config: ConfigT) -> JobContext[ConfigT]:
        """Open all of it; nothing is listed or written yet. `InputError` when the parts do not fit together."""
        adaptor = open_adaptor(config.adaptor, config.source)
        check_apart(config.source, config.output)
        return JobContext(
            config=config,
            adaptor=adaptor,
            output_version=open_output_version(config.output, adaptor),
            source=open_source(config.source),
            vector_columns=_vector_columns(config.source, config.output, adaptor),
            output_format=open_output_format(config.output.format),
        )

    def pinned(self) -> JobContext[ConfigT]:
        """The same for what the source has listed: its snapshot, and the type of its ids. Workers get this one."""
        return replace(self, config=pinned(self.config, self.source))

    @property
    def keeps_removed(self) -> bool:
        """Whether outputs of shards that have left the source stay. Of a table they never do: those are rows that it
        has deleted or rewritten."""
        return self.config.output.removed == "keep" and self.source.snapshot() is None

    def output_schema(self, schema: pa.Schema, stamps: Mapping[str, str]) -> pa.Schema:
        """The schema of the output of a shard with this one."""
        return short_schema(
            schema, [(column.name, column.encoding.arrow_type) for column in self.vector_columns], stamps
        )

    @cached_property
    def description(self) -> dict[str, Any]:
        """What `output_version.json` says."""
        return describe(self.config.source, self.adaptor, self.config.output)

    def stamps(self, shard: Shard) -> dict[str, str]:
        """What the metadata of the shard's outputs says, by name (without the prefix `STAMP`)."""
        values = {key: self.description[key] for key in _STAMPED if self.description[key] is not None}
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        return {**texts, "source": shard.key, "source_version": shard.version}


def _vector_columns(source: SourceSection, output: CompressOutputSection, adaptor: Adaptor) -> tuple[VectorColumn, ...]:
    first = VectorColumn(source.vector_column, output.dim, open_encoding(output.encoding, adaptor, output.dim))
    if (rescore := output.rescore) is None:
        return (first,)
    name = rescore_column(source, rescore)
    return first, VectorColumn(name, rescore.dim, open_encoding(rescore.encoding, adaptor, rescore.dim))
