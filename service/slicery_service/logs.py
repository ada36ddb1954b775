"""The log: one JSON object a line on standard error, for machines to collect and people to read."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """Writes time, level, logger, message, what came in `extra`, and the trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; JSON keeps line breaks in values from making lines of their own."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def log_config(level: str = "info") -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`, as uvicorn takes it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "alembic": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},  # its debug lines hold signatures
            "urllib3": {"level": "WARNING"},
            "uvicorn.access": {"level": "WARNING"},  # ours leaves the query out
        },
    }
