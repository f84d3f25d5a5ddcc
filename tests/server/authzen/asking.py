"""Asks a sidecar what AuthZEN asks."""

import json
from collections.abc import Iterator
from typing import Any

from tests.server.sidecars import Reply, request
from tests.server.town import ACME_KEY, ANN, KEY

SUBJECT = {"type": "user", "id": ANN}
ACTION = {"name": "write"}
RESOURCE = {"type": "billing", "id": "1"}
QUESTION: dict[str, Any] = {
    "subject": SUBJECT,
    "action": ACTION,
    "resource": RESOURCE,
}
"""Whether Ann may `billing:write`, which she may."""

assert f"{RESOURCE['type']}:{ACTION['name']}" == KEY


def post(
    base_url: str,
    path: str,
    body: Any,
    *,
    key: str | None = ACME_KEY,
    **headers: str,
) -> Reply:
    """What is answered to a body, encoded unless it is bytes already."""
    return request(
        base_url,
        f"/access/v1/{path}" if path[0] != "/" else path,
        method="POST",
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        key=key,
        **{"Content_Type": "application/json", **headers},
    )


def told(reply: Reply) -> Any:
    """What a good answer says."""
    assert reply.status == 200, reply
    assert "application/json" == reply.header("Content-Type")
    body = json.loads(reply.body)
    assert isinstance(body, dict)
    return body


def evaluate(base_url: str, question: Any = QUESTION, **over: Any) -> bool:
    """The decision on a question."""
    decision = told(post(base_url, "evaluation", {**question, **over}))["decision"]
    assert isinstance(decision, bool)
    return decision


def evaluate_all(base_url: str, **body: Any) -> list[Any]:
    """The decisions of a batch, as they are."""
    answer = told(post(base_url, "evaluations", body))
    assert ["evaluations"] == list(answer)
    return list(answer["evaluations"])


def search(base_url: str, what: str, **body: Any) -> list[Any]:
    """All results of a search, on one page."""
    answer = told(post(base_url, f"search/{what}", body))
    assert answer.get("page", {"next_token": ""}) == {"next_token": ""}
    return list(answer["results"])


def pages(base_url: str, what: str, limit: int, **body: Any) -> Iterator[list[Any]]:
    """The results of a search, page by page; the limit is named on the first only."""
    page: dict[str, Any] = {"limit": limit}
    while True:
        answer = told(post(base_url, f"search/{what}", {**body, "page": page}))
        yield list(answer["results"])
        if not answer["page"]["next_token"]:
            return
        page = {"token": answer["page"]["next_token"]}
