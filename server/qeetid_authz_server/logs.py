"""Logs as one JSON object a line, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from aiohttp.http import HttpProcessingError
from aiohttp.web import RequestPayloadError

OURS = "qeetid_authz"
HTTP_LOG = logging.getLogger("qeetid_authz_server.http")
"""For what the HTTP library has to say."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """A record as `ts`, `level`, `event`, then what it carries besides.

    The sidecar's records have the event's name for a message. A record made elsewhere
    has its logger's name as event, and its text as `message`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
        }
        if record.name.startswith("qeetid_authz_server"):
            line["event"] = record.getMessage()
        else:
            line["event"] = record.name
            line["message"] = record.getMessage()
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        line.update(extra)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Log to standard error from a level on; of other libraries, warnings only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # we report its errors
    for name in (OURS, "qeetid_authz_server"):
        logging.getLogger(name).setLevel(level.upper())


def _hush_unparsable(record: logging.LogRecord) -> bool:
    """Let a request that is no HTTP be an event, not an error.

    Its exception quotes what was sent, which may be a credential.
    """
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, HttpProcessingError | RequestPayloadError):
        record.msg, record.args, record.exc_info = "request_unparsable", (), None
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


HTTP_LOG.addFilter(_hush_unparsable)
