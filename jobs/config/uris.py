"""The forms of a location: a local path, `file://`, `s3://bucket/prefix`, or any URI of fsspec's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from jobs.config.credential_redaction import without_password

#: A scheme, of two letters at least, without its slashes.
_MISTYPED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_CHAIN = re.compile(r"::(?:/|[A-Za-z][\w+.-]*://)")
_SERVER = re.compile(r"https?://(\[[\da-f:.]+\]|[^/@:?#\[\]\s]+)(:\d{1,5})?/?", re.IGNORECASE)
#: Other programs' names for what we write as s3:// and as a plain path.
_OTHER_NAMES = {"s3a": "s3://", "s3n": "s3://", "local": "a plain path or file://"}


def scheme_of(uri: str) -> str:
    """The scheme in lower case, of a chain (`zip://x::s3://y`) the first one; "" for a local path."""
    return uri.partition("://")[0].lower() if "://" in uri else ""


def local_path(uri: str) -> Path:
    """The absolute path that a local path or a `file://` URI names. Raises `ValueError` when it names none."""
    path = uri
    if scheme_of(uri) == "file":
        host, slash, rest = uri[len("file://") :].partition("/")
        if host.lower() not in ("", "localhost") or not slash:
            raise ValueError("must be file:///absolute/path, with three slashes")
        path = "/" + unquote(rest)
    if not path or "\0" in path:
        raise ValueError("must name a folder" if not path else "must not hold a NUL character")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as problem:
        raise ValueError(f"names no folder: {problem}") from problem


def _well_formed(uri: str) -> str:
    scheme = scheme_of(uri)
    if "\0" in uri:
        raise ValueError("must not hold a NUL character")
    if not scheme and (mistyped := _MISTYPED.match(uri)):
        name = mistyped[1].lower()
        raise ValueError(f"must have two slashes after '{name}:' (for a local folder of that name write ./{name}:…)")
    if scheme in _OTHER_NAMES:
        raise ValueError(f"must be written as {_OTHER_NAMES[scheme]} here, not as {scheme}://")
    if scheme == "s3" and "" in uri[len("s3://") :].rstrip("/").split("/"):
        raise ValueError("must be s3://bucket/prefix, without empty parts")
    if scheme in ("", "file"):
        local_path(uri)
    elif not _CHAIN.search(uri):
        urlsplit(uri)
    return uri


def server_address(address: str) -> str:
    """`address` itself; `ValueError` when it is none, or holds a login."""
    if "@" in address:
        raise ValueError(
            "must not hold a login, which would be copied into the files that are written: set it in the environment "
            "of every node, or use a profile or a role"
        )
    if not _SERVER.fullmatch(address):
        raise ValueError("must be http://host:port or https://host:port, without a path")
    return address


#: What is read or written, by its URI.
LocationUri = Annotated[str, Field(min_length=1), AfterValidator(without_password), AfterValidator(_well_formed)]
ServerAddress = Annotated[str, AfterValidator(server_address)]


def below(uri: str, name: str) -> str:
    """The place called `name` below a URI, which may be a bare scheme (`memory://`)."""
    above = uri.rstrip("/")
    return f"{above}{'//' if above.endswith(':') else ''}/{name}"
