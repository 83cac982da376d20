"""Standard error without what Ray's native side says as it starts: nothing that helps whoever runs a command."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: Lines of the levels debug, information and warning: `[2026-01-31 … W 12 12] gcs_client.cc:210: …`.
_NATIVE = re.compile(rb"^\[[-\d]+ [\d:,]+ [DIW] \d+ \d+\] (\([^)]*\) )?[\w/]+\.(cc|h):\d+: ")


@contextmanager
def native_lines_dropped() -> Iterator[None]:
    """Hold back stderr (file descriptor 2) during the block and pass it on afterwards without the native lines.

    `RAY_BACKEND_LOG_LEVEL` does not do it: the native side warns before it heeds it, and says that it does.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            buffer.seek(0)
            for line in buffer:
                if not _NATIVE.search(line):
                    os.write(2, line)
