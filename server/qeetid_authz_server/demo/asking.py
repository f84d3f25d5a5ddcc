"""Asking the sidecar over HTTP, as an application would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession

from qeetid_authz_server.demo.questions import QUESTIONS, Question
from qeetid_authz_server.demo.stage import DemoError, Stage


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, how it was asked and what came back.

    Attributes:
        target: path and query of the request.
        body: of the response, with explanation.
    """

    question: Question
    target: str
    body: Mapping[str, Any]


async def ask_all(stage: Stage, base_url: str) -> list[Answer]:
    """Ask all questions of the demonstration.

    Raises:
        DemoError: an answer is wrong, or none.
    """
    headers = {"Authorization": f"ApiKey {stage.api_key}"}
    async with ClientSession(base_url, headers=headers) as session:
        return [await _ask(session, stage, question) for question in QUESTIONS]


def target(stage: Stage, question: Question) -> str:
    """Path and query by which a question is asked."""
    query = {
        "user_id": stage.users[question.user],
        "tenant_id": stage.tenant_id,
        "permission": question.permission,
        "explain": "true",
    }
    return f"/v1/check?{urlencode(query, safe=':')}"


async def _ask(session: ClientSession, stage: Stage, question: Question) -> Answer:
    asked = target(stage, question)
    async with session.get(asked) as response:
        body = await response.json()
    if body.get("allowed") is not question.allowed:
        raise DemoError(f"the sidecar answers `{asked}` with `{body}`")
    return Answer(question, asked, body)
