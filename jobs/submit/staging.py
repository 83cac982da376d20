"""The folder that a submitted job runs in: our code and the resolved configuration, never data, never secrets.

Its digest names the job: sending the same thing twice is the same job.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGES = ("adaptor", "cluster", "jobs")
#: Kinds of files that the packages need at run time; everything else stays here.
SUFFIXES = frozenset({".py", ".j2", ".json"})
CONFIG_NAME = "config.json"


def stage(folder: Path, config_json: str) -> str:
    """Copy our packages and the configuration into `folder` (empty); the SHA-256 (hex) of names and contents."""
    source = Path(__file__).resolve().parents[2]
    files = {Path(CONFIG_NAME): config_json.encode()}
    for path in sorted(path for package in PACKAGES for path in (source / package).rglob("*")):
        inside = path.relative_to(source)
        if path.suffix in SUFFIXES and path.is_file() and not any(part.startswith(".") for part in inside.parts):
            files[inside] = path.read_bytes()
    digest = hashlib.sha256()
    for inside, content in files.items():
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        (folder / inside).write_bytes(content)
        digest.update(b"%d %d %b" % (len(bytes(inside)), len(content), bytes(inside)) + content)
    return digest.hexdigest()
