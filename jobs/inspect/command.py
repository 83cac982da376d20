"""`matryoshka inspect`: what is in a source, before any job. In seconds and without Ray.

1. List the source and describe some shards. 2. Read some rows (`look`). 3. Find out what they are like (`facts`).
4. Print.
"""

from __future__ import annotations

import json
import sys

from threadpoolctl import threadpool_limits

from jobs.config.inspect import InspectConfig
from jobs.inspect.facts import facts
from jobs.inspect.look import look
from jobs.inspect.report import report
from jobs.sources.pinned import pinned
from jobs.sources.source import open_source
from jobs.storage.open import open_objects

INSPECTION_FILE = "inspection.json"


def run(config: InspectConfig) -> int:
    """Print what the source is like; 0. Raises `InputError` when it cannot be read."""
    source = open_source(config.source)
    source.shards()
    section = pinned(config, source).source
    with threadpool_limits(1):  # the matrices are small: several threads would mostly wait for each other
        found = facts(source, section, look(source, section, config.inspection))
    content = json.dumps(found, indent=2) + "\n"
    if config.output is not None:
        open_objects(config.output.uri, config.output.filesystem).put(INSPECTION_FILE, content.encode())
    sys.stdout.write(content if config.inspection.report == "json" else report(found))
    return 0
