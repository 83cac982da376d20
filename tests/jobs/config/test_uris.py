"""How places may be written: what is refused as a configuration is read would otherwise end somewhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.config.sections import FilesystemOptions, OutputSection
from jobs.config.uris import local_path


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("s3:/bucket/short", r"must have two slashes after 's3:' \(for a local folder .* \./s3:"),
        ("s3:bucket/x", "must have two slashes after 's3:'"),
        ("file:/tmp/x", "must have two slashes after 'file:'"),
        ("file://data/source", "must be file:///absolute/path, with three slashes"),
        ("file://", "must be file:///absolute/path"),
        ("s3://", "must be s3://bucket/prefix, without empty parts"),
        ("s3:///prefix", "without empty parts"),
        ("s3://bucket//prefix", "without empty parts"),
        ("s3a://bucket/prefix", "must be written as s3:// here, not as s3a://"),
        ("local:///tmp/x", "must be written as a plain path or file:// here"),
        ("a\0b", "must not hold a NUL character"),
        ("s3://bucket/a\0b", "must not hold a NUL character"),
        ("~nobody-of-this-name/x", "names no folder: Could not determine home directory"),
        ("s3://[::1/x", "Invalid IPv6 URL"),
        ("run:1/out", "for a local folder of that name write ./run:"),
        ("S3:x", "must have two slashes after 's3:'"),
        ("ftp://[::1/x", "Invalid IPv6 URL"),
    ],
)
def test_places_that_would_be_somewhere_else(uri: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        OutputSection(uri=uri)


@pytest.mark.parametrize(
    "uri",
    [
        "zip://[0]/a::s3://bucket/a.zip",
        "s3://bucket",
        "S3://bucket/a/b/",
        "./s3:/x",
        "/a:b//c/",
        "a b",
        "file:///tmp/x",
        "C:/x",
        "gs://b//c",
        ".",
        "./run:1/out",
    ],
)
def test_places_that_are_meant(uri: str) -> None:
    assert OutputSection(uri=uri).uri == uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///tmp/a%20b#1/c?x=1", "/tmp/a b#1/c?x=1"),
        ("FILE://localhost/tmp/x/", "/tmp/x"),
        ("/tmp/a%20b", "/tmp/a%20b"),
        ("file:///", "/"),
    ],
)
def test_paths_that_uris_name(uri: str, path: str) -> None:
    assert local_path(uri) == Path(path)


@pytest.mark.parametrize(
    "endpoint",
    ["", "http://[::1", "http://host:port", "localhost:8333", "http://h/path", "ftp://h", "http://h#x", " http://h"],
)
def test_endpoints_that_are_none(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        FilesystemOptions(endpoint=endpoint)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8333", "https://s3.example.org", "http://[::1]:9000/", None])
def test_endpoints(endpoint: str | None) -> None:
    assert FilesystemOptions(endpoint=endpoint).endpoint == endpoint
