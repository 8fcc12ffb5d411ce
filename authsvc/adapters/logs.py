"""Logs: one JSON object a line on standard error. Only what code names is logged, never a request's own text."""

import json
import logging
import sys

import structlog
from structlog.tracebacks import ExceptionDictTransformer

MAX_MESSAGE = 500


def configure_logs() -> None:
    """Set both up: our own events, and what libraries log through `logging`."""
    # INVARIANT: no local variables in a traceback: passwords and secrets are among them.
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            tracebacks,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _JsonFormatter(logging.Formatter):
    """Renders what libraries log: the logger, the level, the message, and the type of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "event": "library",
            "logger": record.name,
            "level": record.levelname.lower(),
            "message": record.getMessage()[:MAX_MESSAGE],
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)
