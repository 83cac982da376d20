"""Logins inside addresses: recognised, refused where they would be copied into files, and never shown."""

from __future__ import annotations

import re

#: Up to the last `@` before the path. One slash, too: who forgets the other still does not want to see it printed.
_LOGIN = re.compile(r":/{1,2}[^/\s]*@")
#: A user with a password; both may hold any character. Digits up to a slash are a port, two colons chain addresses.
_PASSWORD = re.compile(r":/{1,2}(?!\[[\da-fA-F:.]*\]|arn:)[^/:]*:(?!:(?:/|[A-Za-z][\w+.-]*://))(?!\d+(?:/|$)).*@")
#: The same behind a scheme without any slash.
_UNSLASHED = re.compile(r"^([A-Za-z][\w+.-]+):(?!/)[^/\s]*@")
#: Addresses that have `owner:repository@branch` where others have a login.
_NO_LOGIN = re.compile(r"(?:github|git)://[^/:@]+:[^/:@]+(?:[@/][^:]*)?", re.IGNORECASE)
#: Parts of a query that let whoever has the address in.
_SIGNED = re.compile(
    r"(://.*[?&;#][^=&;\s]*(?:sig|signature|token|secret|password|passwd|pwd|credential|key|auth|code)=)[^&;\s]*",
    re.IGNORECASE,
)
#: Names of fields and variables whose values are not shown.
SECRET_NAME = re.compile(r"key|secret|token|passw|credential", re.IGNORECASE)


def has_login(text: str) -> bool:
    """Whether an address in the text holds a user name or a password."""
    return bool(_LOGIN.search(text) or _PASSWORD.search(text))


def masked(text: str) -> str:
    """The text without the logins and signatures of its addresses."""
    return _SIGNED.sub(r"\1…", _LOGIN.sub("://…@", _PASSWORD.sub("://…@", _UNSLASHED.sub(r"\1:…@", text))))


def without_password(uri: str) -> str:
    """`uri` itself; `ValueError` when it holds a password or a signature."""
    if (_PASSWORD.search(uri) and not _NO_LOGIN.fullmatch(uri)) or _SIGNED.search(uri):
        raise ValueError(
            "must not hold a password, which would be copied into the files that are written: set it in the "
            "environment of every node (AWS_SECRET_ACCESS_KEY, FSSPEC_FTP_PASSWORD …), or use a profile, role or key"
        )
    return uri
