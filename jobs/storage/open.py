"""Opening the location that a URI names: local disk, S3, or any filesystem that fsspec knows."""

from __future__ import annotations

import os

from adaptor.errors import InputError
from jobs.config.sections import FilesystemOptions
from jobs.config.uris import scheme_of
from jobs.storage.local import LocalObjects
from jobs.storage.objects import Objects


def open_objects(uri: str, options: FilesystemOptions) -> Objects:
    """Open the location that `uri` names: local paths and `file://`, `s3://bucket/prefix`, or any fsspec URI. Cheap, so
    call it inside every worker."""
    return _open(uri, options)


def open_file_or_folder(uri: str, options: FilesystemOptions) -> Objects:
    """The same for a folder or a single file: of a file it is the folder that holds it, with `only` set to its name.

    A file needs an ending unless it is local. Where an object store has both, a file `a.b` and others below `a.b/`, the
    file counts if it ends in `.parquet`.
    """
    parent, slash, name = uri.rpartition("/")
    folder = _open(uri, options)
    if isinstance(folder, LocalObjects):
        name, is_file = folder.root.name, os.path.isfile(folder.root)
    else:
        is_file = "." in name and not parent.endswith(":/") and _is_file(parent, name, options)
        is_file = is_file and (name.endswith(".parquet") or next(iter(folder.list()), None) is None)
    if is_file:
        folder = _open(parent or slash or ".", options)
        folder.only = name
    return folder


def _is_file(parent: str, name: str, options: FilesystemOptions) -> bool:
    """Whether there is such a file; it is asked for only, so a store that refuses to say has none."""
    try:
        return _open(parent, options).stat(name) is not None
    except InputError:
        if name.endswith(".parquet"):
            raise
        return False


def _open(uri: str, options: FilesystemOptions) -> Objects:
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return LocalObjects(uri)
    if scheme == "s3":  # imported late: s3fs and fsspec take a while
        from jobs.storage.s3 import S3Objects

        return S3Objects(uri, options)
    from jobs.storage.fsspec_objects import FsspecObjects

    return FsspecObjects(uri)
