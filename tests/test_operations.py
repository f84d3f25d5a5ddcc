"""The document for operators names every event that the code logs, with its fields."""

import ast
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from qeetid_authz_server.telemetry.logs import HTTP_LOG, JsonFormatter

ROOT = Path(__file__).parents[1]
LOGGERS = {"_log", "log", "REQUEST_LOG", "HTTP_LOG"}
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}


def calls(function: ast.AST) -> Iterator[ast.Call]:
    """The calls that log something."""
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in LOGGERS
            and node.func.attr in LEVELS
        ):
            yield node


def extra(call: ast.Call, function: ast.AST) -> dict[str, ast.expr]:
    """What a call gives as `extra`, written there or under a name before."""
    (given,) = [k.value for k in call.keywords if k.arg == "extra"] or [
        ast.Dict([], [])
    ]
    if isinstance(given, ast.Name):
        (given,) = {
            ast.unparse(node.value): node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == given.id
        }.values()
    assert isinstance(given, ast.Dict), ast.unparse(call)
    return {
        ast.literal_eval(key): value
        for key, value in zip(given.keys, given.values, strict=True)
        if key is not None
    }


def logged() -> dict[str, set[str]]:
    """The fields of each event, by the code."""
    events: defaultdict[str, set[str]] = defaultdict(set)
    for path in (*ROOT.glob("qeetid_authz/**/*.py"), *ROOT.glob("server/**/*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in calls(function):
                fields = extra(call, function)
                message = call.args[call.func.attr == "log"]  # type: ignore[attr-defined]
                name = ast.literal_eval(fields.pop("event", message))
                events[name] |= fields.keys()
    return events


def test_every_event_is_in_the_documentation() -> None:
    """The table has the events that the code logs, with their fields, and no other."""
    text = (ROOT / "docs" / "operations.md").read_text().partition("## Logs")[2]
    rows = re.findall(r"^\| `(\w+)` \| [\w, ]+ \|([^|]*)\|", text, re.MULTILINE)
    told = {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in rows}

    assert logged() | {"http_failed": {"message"}} == told


def test_every_event_has_one_name() -> None:
    """Names are of one form, whoever logs them, and no text is taken for one."""
    for name in logged():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name


@pytest.mark.parametrize(
    ("logger", "message", "given", "told"),
    [
        ("qeetid_authz_server.x", "serving", {}, {"event": "serving"}),
        (
            "qeetid_authz",
            "feed failed: gone",
            {"event": "feed_failed", "code": "c"},
            {"event": "feed_failed", "message": "feed failed: gone", "code": "c"},
        ),
        ("psycopg", "oh", {}, {"event": "psycopg", "message": "oh"}),
        (
            HTTP_LOG.name,
            "Unhandled",
            {},
            {"event": "http_failed", "message": "Unhandled"},
        ),
    ],
)
def test_a_line_has_the_name_of_its_event(
    logger: str,
    message: str,
    given: dict[str, str],
    told: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever logs: the sidecar, its library, and the libraries below."""
    with caplog.at_level(logging.INFO, logger):
        logging.getLogger(logger).warning(message, extra=given)
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    del line["ts"]

    assert {"level": "warning"} | told == line
