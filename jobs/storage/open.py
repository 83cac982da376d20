"""Opening the location that a URI names: local disk, S3, or any filesystem that fsspec knows."""

from __future__ import annotations

from jobs.config.sections import FilesystemOptions
from jobs.config.uris import scheme_of
from jobs.storage.local import LocalObjects
from jobs.storage.objects import Objects


def open_objects(uri: str, options: FilesystemOptions, *, single_file: str | None = None) -> Objects:
    """Open the location that `uri` names; cheap, so call it inside every worker.

    Local paths and `file://`, `s3://bucket/prefix`, or any fsspec URI. A URI that ends with `single_file` and names
    a file gives its parent with `only` set to the file's name.
    """
    if single_file is not None and uri.endswith(single_file):
        parent, slash, name = uri.rpartition("/")
        single = _open(parent or slash or ".", options)
        if single.stat(name) is not None:
            single.only = name
            return single
    return _open(uri, options)


def _open(uri: str, options: FilesystemOptions) -> Objects:
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return LocalObjects(uri)
    if scheme == "s3":  # imported late: s3fs and fsspec take a while
        from jobs.storage.s3 import S3Objects

        return S3Objects(uri, options)
    from jobs.storage.fsspec_objects import FsspecObjects

    return FsspecObjects(uri)
