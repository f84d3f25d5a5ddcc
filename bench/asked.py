"""Questions over HTTP with the answers that the generated facts give."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple
from urllib.parse import quote

import psycopg
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bench.httpload import Exchange, request
from bench.peers import cerbos
from bench.peers.filling import database
from bench.peers.relations import Relations, relations
from bench.synthesis import Shape, Tenancy, synthesise
from bench.world import API_KEY, SECRET

ALLOWED, DENIED = b'{"allowed":true}\n', b'{"allowed":false}\n'
SHAPE = Shape(users=1_000, groups=50, roles=20, permissions=100)
_PREFIX = API_KEY.removeprefix("ApiKey ").partition(".")[0]
_HEADERS = {"Authorization": API_KEY}
_JSON = {"Content-Type": cerbos.CONTENT_TYPE}


class Question(NamedTuple):
    """Whether a user holds a permission, and whether that is so."""

    user: str
    permission: str
    allowed: bool


class Asking:
    """The facts of one tenant, and questions about its users.

    Attributes:
        told: the facts.
        questions: about all users in turn, half of them allowed as far as users hold
            anything.
    """

    def __init__(self, tenancy: Tenancy, count: int, seed: int) -> None:
        self.told: Relations = relations(tenancy)
        random, granted = Random(seed), self.told.granted
        held = {
            user: sorted(
                {key for role in self.told.roles(user) for key in granted[role]}
            )
            for user in self.told.groups
        }
        users = list(held)
        self.questions = []
        for at in range(count):
            user = users[at % len(users)]
            wanted = held[user] if random.random() < 0.5 else self.told.permissions
            key = random.choice(wanted or self.told.permissions)
            self.questions.append(Question(user, key, key in held[user]))

    def checks(self) -> list[Exchange]:
        """One question a request, authenticated by the API key."""
        return [
            Exchange(
                request(
                    "GET",
                    f"/v1/check?user_id={user}&tenant_id={self.told.tenant}"
                    f"&permission={quote(permission)}",
                    _HEADERS,
                ),
                ALLOWED if allowed else DENIED,
            )
            for user, permission, allowed in self.questions
        ]

    def batches(self, size: int) -> Iterator[tuple[bytes, list[bool]]]:
        """So many questions a request, and the answers to them."""
        for at in range(0, len(self.questions), size):
            part = self.questions[at : at + size]
            checks = [
                {"user_id": each.user, "permission": each.permission} for each in part
            ]
            body = json.dumps({"checks": checks, "tenant_id": self.told.tenant})
            headers = {**_HEADERS, **_JSON}
            asked = request("POST", "/v1/check/batch", headers, body.encode())
            yield asked, [each.allowed for each in part]

    def cerbos(self) -> list[Exchange]:
        """One question a request, with the user's roles."""
        return [
            Exchange(
                request(
                    "POST",
                    cerbos.PATH,
                    _JSON,
                    cerbos.question(
                        user, self.told.roles(user), self.told.tenant, permission
                    ),
                ),
                f':"{cerbos.ALLOW if allowed else cerbos.DENY}"'.encode(),
            )
            for user, permission, allowed in self.questions
        ]

    @contextmanager
    def database(self) -> Iterator[str]:
        """A DSN of a database with the facts, and an API key of their tenant."""
        secret_hash = Argon2id(
            salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19456
        ).derive_phc_encoded(SECRET.encode())
        with database(self.told) as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(
                    "INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash)"
                    " VALUES (%s, 'bench', %s, %s)",
                    (self.told.tenant, _PREFIX, secret_hash),
                )
            yield dsn


def asking(count: int, seed: int) -> Asking:
    """Questions over the facts that peers are measured with."""
    return Asking(synthesise(SHAPE, seed), count, seed)
