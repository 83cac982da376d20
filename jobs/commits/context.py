"""What a job of compress, verify or plan works with, opened once in each process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adaptor.artefact import Adaptor
from jobs.commits.output_version import check_apart, describe, open_output_version, stamps
from jobs.config.compress import CompressConfig
from jobs.config.verify import VerifyConfig
from jobs.encodings.encoding import Encoding, open_encoding
from jobs.outputs.output_format import OutputFormat, open_output_format
from jobs.sources.source import Shard, Source, open_source
from jobs.storage.adaptors import open_adaptor
from jobs.storage.objects import Objects


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """Source, adaptor and output version of one configuration."""

    config: CompressConfig | VerifyConfig
    adaptor: Adaptor
    source: Source
    encoding: Encoding
    output_format: OutputFormat
    output_version: Objects

    @classmethod
    def open(cls, config: CompressConfig | VerifyConfig) -> JobContext:
        """Open all of it; nothing is listed or written yet. `InputError` when the parts do not fit together."""
        adaptor = open_adaptor(config.adaptor, config.source)
        check_apart(config.source, config.output)
        output_version = open_output_version(config.output, adaptor)
        return cls(
            config=config,
            adaptor=adaptor,
            source=open_source(config.source),
            encoding=open_encoding(config.output.encoding, adaptor, config.output.dim),
            output_format=open_output_format(config.output.format),
            output_version=output_version,
        )

    @cached_property
    def description(self) -> dict[str, Any]:
        """What `output_version.json` says."""
        return describe(self.config.source, self.adaptor, self.config.output)

    def stamps(self, shard: Shard) -> dict[str, str]:
        """What the metadata of the shard's outputs says, by name."""
        return stamps(self.description, shard.key, shard.version)
