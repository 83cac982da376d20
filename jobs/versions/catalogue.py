"""The output versions of a folder, and each of their kept sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adaptor.errors import InputError
from jobs.commits.manifest import MANIFEST, Manifest, kept_manifests, read_manifest
from jobs.commits.output_version import DESCRIPTION
from jobs.config.sections import Location
from jobs.config.uris import below
from jobs.storage.folders import folder_names
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects


@dataclass(frozen=True)
class Version:
    """An output version as of one sequence."""

    name: str
    manifest: Manifest

    @property
    def title(self) -> str:
        """How commands call it."""
        return f"{self.name}@{self.manifest.sequence}"

    def facts(self) -> dict[str, Any]:
        """What is told of it."""
        manifest, description = self.manifest, self.manifest.description
        return {
            "version": self.title,
            "created": manifest.created,
            "rows": manifest.rows,
            "bytes": manifest.total_bytes,
            "files": len(manifest.files),
            "adaptor_id": description.get("adaptor_id"),
            "dim": description.get("dim"),
            "encoding": description.get("encoding"),
            "source_snapshot": manifest.source_snapshot,
            "evidence": manifest.evidence,
        }


class Catalogue:
    """Finds the output versions below one URI. Nothing is cached: others may add and sweep at any time."""

    def __init__(self, location: Location) -> None:
        self.outputs: Objects = open_objects(location.uri, location.filesystem)
        self._uri, self._options = location.uri, location.filesystem

    def names(self) -> list[str]:
        """Names of all folders that hold an output version, complete or not, sorted. One listing of the folder itself:
        the files of each version may be many."""
        names = folder_names(self.outputs)
        return [name for name in names if self.outputs.stat(f"{name}/{DESCRIPTION}") is not None]

    def folder(self, name: str) -> Objects:
        """The folder of an output version."""
        return open_objects(below(self._uri, name), self._options)

    def versions(self) -> Iterator[Version]:
        """Every kept sequence of every complete output version, folders by name, sequences ascending."""
        for name in self.names():
            yield from (Version(name, manifest) for manifest in kept_manifests(self.folder(name)))

    def newest(self) -> Version:
        """The sequence that was made last. Raises InputError when there is none."""
        found = sorted(self.versions(), key=lambda version: (version.manifest.created, version.manifest.sequence))
        if not found:
            raise InputError(f"{self.outputs.uri} holds no complete output version: run compress first")
        return found[-1]

    def find(self, wanted: str) -> Version:
        """The version that is called so: NAME or the beginning of it, with or without @SEQUENCE. Raises InputError when
        it is none, or several."""
        beginning, _, number = wanted.partition("@")
        if number and not number.isdecimal():
            raise InputError(f"versions: {wanted!r} should be NAME or NAME@SEQUENCE, such as {beginning}@3")
        names = [name for name in self.names() if name.startswith(beginning)]
        exact = [name for name in names if name == beginning] or names
        if len(exact) != 1:
            known = ", ".join(names or self.names()) or "none"
            problem = "is the beginning of several output versions" if names else "is no output version"
            raise InputError(f"versions: {beginning!r} {problem} of {self.outputs.uri} ({known}): give one of them")
        return Version(exact[0], read_manifest(self.folder(exact[0]), int(number) if number else None))

    def is_complete(self, name: str) -> bool:
        """Whether the output version has a manifest."""
        return self.folder(name).stat(MANIFEST) is not None
