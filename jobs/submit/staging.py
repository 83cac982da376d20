"""The folder that a submitted job runs in: our code and the resolved configuration, never data, never secrets.

Its content is all that a job depends on, so its digest names the job: sending the same thing twice is the same job.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

PACKAGES = ("adaptor", "cluster", "jobs")
#: Kinds of files that the packages need at run time; everything else stays here.
SUFFIXES = frozenset({".py", ".j2", ".json"})
CONFIG_NAME = "config.json"


def stage(folder: Path, config_json: str) -> str:
    """Copy our packages into `folder` (empty) and put the configuration beside them.

    Returns the SHA-256 (64 hex digits) of names and contents.
    """
    source = Path(__file__).resolve().parents[2]
    for package in PACKAGES:
        for path in sorted((source / package).rglob("*")):
            inside = path.relative_to(source)
            if path.suffix in SUFFIXES and path.is_file() and not any(part.startswith(".") for part in inside.parts):
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    (folder / CONFIG_NAME).write_text(config_json, encoding="utf-8")
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = path.relative_to(folder).as_posix().encode(), path.read_bytes()
        digest.update(b"%d %d " % (len(name), len(content)) + name + content)
    return digest.hexdigest()
