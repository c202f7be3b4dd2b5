"""Logs: one line of JSON an event, on standard error. No names of files, no pictures, no values of parameters."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON: its time, level and message, and the `fields` it was given."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            # Where it happened, without the message: that may quote what a client sent.
            error = record.exc_info[1]
            entry["error"] = type(error).__name__
            frames = traceback.extract_tb(error.__traceback__)
            entry["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(entry)


def set_up(level: int = logging.INFO) -> None:
    """Send the service's records, and uvicorn's, to standard error as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    for name in ("trimatte.server", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
