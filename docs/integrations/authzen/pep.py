"""Asks a decision point, and finds everybody who may; in doubt, nobody may."""

import os
from collections.abc import Iterator
from typing import Any

import httpx

pdp = httpx.Client(
    base_url=os.environ["PDP"],
    headers={"Authorization": os.environ["PDP_CREDENTIAL"]},
    timeout=1.0,
)


def may(user: str, action: str, type_: str, id_: str) -> bool:
    """Whether a user may do something to a resource."""
    question = {
        "subject": {"type": "user", "id": user},
        "action": {"name": action},
        "resource": {"type": type_, "id": id_},
    }
    try:
        answer = pdp.post("/access/v1/evaluation", json=question)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK and answer.json()["decision"] is True


def who_may(action: str, type_: str, id_: str) -> Iterator[str]:
    """All users who may do something to a resource, page by page."""
    question: dict[str, Any] = {
        "subject": {"type": "user"},
        "action": {"name": action},
        "resource": {"type": type_, "id": id_},
        "page": {"limit": 2},
    }
    while True:
        answer = pdp.post("/access/v1/search/subject", json=question)
        found = answer.raise_for_status().json()
        yield from (each["id"] for each in found["results"])
        if not found["page"]["next_token"]:
            return
        question["page"] = {"token": found["page"]["next_token"]}
