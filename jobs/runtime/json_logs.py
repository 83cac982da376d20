"""Log lines as JSON objects, one a line, for those who collect them (`cluster.log: json`)."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from functools import cache
from uuid import uuid4


@cache
def job_id() -> str:
    """What tells this run of a command from others: `MATRYOSHKA_JOB_ID`, or twelve random digits."""
    return os.environ.get("MATRYOSHKA_JOB_ID") or uuid4().hex[:12]


def log_line(command: str, event: str, fields: dict[str, object]) -> str:
    """`time` (UTC), `command`, `job` and `event`, then the fields; those that are None are left out."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps({"time": now, "command": command, "job": job_id(), "event": event, **present}, ensure_ascii=False)


class JsonFormatter(logging.Formatter):
    """Records of Python's logging in the same form."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields: dict[str, object] = {"message": record.getMessage(), "level": record.levelname.lower()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return log_line(self._command, "log", fields)
