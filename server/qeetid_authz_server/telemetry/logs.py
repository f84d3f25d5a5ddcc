"""Logs as one JSON object a line, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from aiohttp.http import HttpProcessingError
from aiohttp.web import RequestPayloadError

OURS = "qeetid_authz"
HTTP_LOG = logging.getLogger("qeetid_authz_server.http")
"""For what the HTTP library has to say."""

REQUEST_LOG = logging.getLogger("qeetid_authz_server.requests")
"""For a line a request, most of them at `debug`."""

_FIRST_REMARKABLE = 300  # status; decisions are many, and look alike
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """A record as `ts`, `level`, `event`, then what it carries besides.

    The sidecar's records have the event's name for a message. Those of the library
    carry it as `event`, any other has its logger's name for one; both have their text
    as `message`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
        }
        text = record.getMessage()
        is_ours = record.name.startswith("qeetid_authz_server")
        line["event"] = getattr(record, "event", text if is_ours else record.name)
        if line["event"] != text:
            line["message"] = text
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


def log_request(
    method: str, path: str, status: int, request_id: str, began: float
) -> None:
    """Log a request that was answered, by a line that goes unwritten if it is dull.

    Args:
        method: what was asked.
        path: of what, without its query.
        status: of the answer.
        request_id: what the request is called.
        began: when it began, by `time.perf_counter`.
    """
    level = logging.INFO if status >= _FIRST_REMARKABLE else logging.DEBUG
    if REQUEST_LOG.isEnabledFor(level):
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round((perf_counter() - began) * 1000, 3),
            "request_id": request_id,
        }
        REQUEST_LOG.log(level, "request", extra=fields)


def _name_event(record: logging.LogRecord) -> bool:
    """Name an event of the HTTP library; a request that is no HTTP is no error.

    Its exception quotes what was sent, which may be a credential.
    """
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, HttpProcessingError | RequestPayloadError):
        record.msg, record.args, record.exc_info = "request_unparsable", (), None
        record.levelno, record.levelname = logging.INFO, "INFO"
    else:
        record.event = "http_failed"
    return True


HTTP_LOG.addFilter(_name_event)
