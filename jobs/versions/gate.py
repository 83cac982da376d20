"""The gate before a promotion: is the version verified, good enough, and of one space?"""

from __future__ import annotations

import json
from collections.abc import Iterator

from adaptor.errors import InputError
from jobs.config.versions import GateSection
from jobs.storage.objects import AbsentError, Objects
from jobs.versions.catalogue import Version

_VERIFIED = "_verify/summary.json"


def check_gate(folder: Objects, version: Version, gate: GateSection) -> None:
    """Raises InputError naming everything that keeps the version from being promoted."""
    problems = [*_unverified(folder, version, gate), *_missed(version, gate), *_drifted(version, gate)]
    if problems:
        raise InputError(f"{version.title} is not promoted: {'; '.join(problems)}")


def _unverified(folder: Objects, version: Version, gate: GateSection) -> Iterator[str]:
    if not gate.verified:
        return
    try:
        found = json.loads(folder.read(_VERIFIED))
        status, sequence = found.get("status"), found.get("sequence")
    except (AbsentError, ValueError, AttributeError):
        status, sequence = None, None
    if status == "failed" and sequence == version.manifest.sequence:
        yield "verify found something wrong with it: run compress, then verify"
    elif (status, sequence) != ("complete", version.manifest.sequence):
        what = "nothing" if sequence is None else f"sequence {sequence}"
        yield (
            f"verify has looked at {what} so far: run matryoshka verify, which looks at the newest sequence, or set "
            "gate.verified: false for an older one"
        )


def _missed(version: Version, gate: GateSection) -> Iterator[str]:
    known = version.manifest.evidence.get("quality", {})
    for measure, least in gate.minimum.items():
        if measure not in known:
            yield f"gate.minimum asks for {measure} of at least {least:g}, and nothing is known of it"
        elif known[measure]["ci_low"] < least:
            record = known[measure]
            interval = f"{record['value']:.3f} [{record['ci_low']:.3f}, {record['ci_high']:.3f}]"
            yield f"gate.minimum asks for {measure} of at least {least:g}, its adaptor keeps {interval}"


def _drifted(version: Version, gate: GateSection) -> Iterator[str]:
    if version.manifest.evidence.get("drift") == "space" and not gate.another_space:
        remedy = "repair the source, or set gate.another_space: true"
        yield f"it holds vectors of another space (its manifest names the files): {remedy}"
