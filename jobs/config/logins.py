"""Logins inside addresses: recognised, refused where they would be copied into files, and never shown."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

#: Up to the last `@` before the path.
_LOGIN = re.compile(r"://[^/\s]*@")
#: A user with a password, which may hold any character; digits up to a slash are a port, two colons chain addresses.
_PASSWORD = re.compile(r"://[^/@:\[\s]*:(?!:)(?!\d+(?:/|$)).*@")
#: Addresses that have `owner:repository@branch` where others have a login.
_NO_LOGIN = ("github://",)


def has_login(text: str) -> bool:
    """Whether an address in the text holds a user name or a password."""
    return bool(_LOGIN.search(text) or _PASSWORD.search(text))


def masked(text: str) -> str:
    """The text without the logins of its addresses."""
    return _LOGIN.sub("://…@", _PASSWORD.sub("://…@", text))


def _without_password(uri: str) -> str:
    if _PASSWORD.search(uri) and not uri.startswith(_NO_LOGIN):
        raise ValueError(
            "must not hold a password, which would be copied into the files that are written: set it in the "
            "environment of every node (AWS_SECRET_ACCESS_KEY for s3://, FSSPEC_FTP_PASSWORD for ftp:// and so on), or "
            "use a profile, a role or a key file"
        )
    return uri


def _without_login(endpoint: str | None) -> str | None:
    if endpoint is not None and "@" in endpoint:
        raise ValueError(
            "must not hold a login, which would be copied into the files that are written: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment of every node, or use a profile or a role"
        )
    return endpoint


#: A place that is read or written, by its URI.
PlaceUri = Annotated[str, Field(min_length=1), AfterValidator(_without_password)]
#: The address of an S3 server, null for AWS.
Endpoint = Annotated[str | None, AfterValidator(_without_login)]
