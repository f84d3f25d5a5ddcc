"""A catalogue of real size and 100,000 users: imported, served, and equal to SQL.

`QEETID_AUTHZ_CATALOGUE` may name a real role catalogue (its form is in
`bench/README.md`); without it one of the same shape is generated.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest

from bench.catalogues import Catalogue, choose
from qeetid_authz import Authorizer, Principal
from qeetid_authz.document import Document, read_document
from qeetid_authz.postgres.importing import import_document
from tests import truth
from tests.integration.following import eventually
from tests.server.sidecars import Wire, ask_in_batch, seen_up_to, sidecar

USERS = 100_000
GROUPS = 1_000
QUESTIONS = 100_000
WRITES = 1_000
BATCH = 10_000
SINGLE = 2_000
"""Of the questions over HTTP so many are asked one by one, the others in batches."""

Question = tuple[str, str, str]


def document_over(catalogue: Catalogue, random: Random) -> Document:
    """A tenant with the catalogue's roles, and users in groups that carry them."""
    emails = [f"user{n}@scale.test" for n in range(USERS)]
    roles = list(catalogue.roles)
    members: list[list[str]] = [[] for _ in range(GROUPS)]
    for email in emails:
        for group in random.sample(range(GROUPS), 3):
            members[group].append(email)
    return read_document(
        {
            "permissions": [{"key": key} for key in catalogue.permissions],
            "users": [{"email": email} for email in emails],
            "tenants": [
                {
                    "slug": "scale",
                    "roles": [
                        {
                            "name": name,
                            "permissions": [catalogue.permissions[at] for at in held],
                        }
                        for name, held in catalogue.roles.items()
                    ],
                    "groups": [
                        {
                            "name": f"group {n}",
                            "roles": random.sample(roles, 3),
                            "members": members[n],
                        }
                        for n in range(GROUPS)
                    ],
                    "assignments": [
                        {"user": email, "roles": [random.choice(roles)]}
                        for email in random.sample(emails, USERS // 20)
                    ],
                }
            ],
        }
    )


def random_questions(
    connection: psycopg.Connection[Any], random: Random
) -> list[Question]:
    """Half drawn from everything, half from what is granted to a few hundred users."""
    ((tenant,),) = connection.execute("SELECT id::text FROM tenant.tenants").fetchall()
    users = _column(connection, 'SELECT id::text FROM "user".users ORDER BY id')
    keys = _column(connection, "SELECT key FROM rbac.permissions ORDER BY key")
    drawn = [
        (tenant, random.choice(users), random.choice(keys))
        for _ in range(QUESTIONS // 2)
    ]
    granted = sorted(truth.grants_of(connection, random.sample(users, 300)))
    return drawn + random.sample(granted, QUESTIONS // 2)


def _column(connection: psycopg.Connection[Any], query: LiteralString) -> list[str]:
    return [value for (value,) in connection.execute(query)]


def write_randomly(connection: psycopg.Connection[Any], random: Random) -> int:
    """Writes of every kind in small transactions; the last one's transaction id."""
    users = _column(connection, 'SELECT id::text FROM "user".users ORDER BY id')
    roles = _column(connection, "SELECT id::text FROM rbac.roles ORDER BY id")
    groups = _column(connection, "SELECT id::text FROM tenant.groups ORDER BY id")
    keys = _column(connection, "SELECT id::text FROM rbac.permissions ORDER BY id")
    ((tenant,),) = connection.execute("SELECT id::text FROM tenant.tenants").fetchall()
    statements: tuple[tuple[LiteralString, Any], ...] = (
        (
            "INSERT INTO rbac.user_roles VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            lambda: (random.choice(users), tenant, random.choice(roles)),
        ),
        (
            "DELETE FROM rbac.user_roles WHERE user_id = %s",
            lambda: (random.choice(users),),
        ),
        (
            "INSERT INTO tenant.group_members VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            lambda: (random.choice(groups), random.choice(users), tenant),
        ),
        (
            "DELETE FROM tenant.group_members WHERE group_id = %s AND user_id < %s",
            lambda: (random.choice(groups), users[USERS // 50]),
        ),
        (
            "INSERT INTO rbac.role_permissions VALUES (%s, %s) ON CONFLICT DO NOTHING",
            lambda: (random.choice(roles), random.choice(keys)),
        ),
        (
            "DELETE FROM rbac.role_permissions WHERE role_id = %s AND permission_id < %s",
            lambda: (random.choice(roles), keys[len(keys) // 4]),
        ),
        (
            "DELETE FROM rbac.group_roles WHERE group_id = %s",
            lambda: (random.choice(groups),),
        ),
        (
            "UPDATE \"user\".users SET status = 'suspended' WHERE id = %s",
            lambda: (random.choice(users),),
        ),
        (
            "UPDATE rbac.permissions SET key = key || ':renamed' WHERE id = %s",
            lambda: (random.choice(keys),),
        ),
    )
    for _ in range(WRITES):
        query, parameters = random.choice(statements)
        connection.execute(query, parameters())
    ((xid,),) = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
    return int(xid)


def ask_over_http(base_url: str, questions: list[Question]) -> list[bool]:
    """The sidecar's answers, some asked singly, most in batches."""
    answers = []
    with Wire(base_url) as wire:
        for tenant, user, key in questions[:SINGLE]:
            target = f"/v1/check?tenant_id={tenant}&user_id={user}&permission={key}"
            wire.send(f"GET {target} HTTP/1.1\r\nHost: sidecar\r\n\r\n".encode())
            answers.append(json.loads(wire.receive().body)["allowed"])
    for start in range(SINGLE, len(questions), BATCH):
        part = questions[start : start + BATCH]
        pairs = [(user, key) for _, user, key in part]
        answers += ask_in_batch(base_url, part[0][0], pairs)
    return answers


@pytest.mark.timeout(900)
def test_a_real_catalogue_is_answered_as_sql_answers(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    """100,000 questions in process and over HTTP equal SQL, before and after writes."""
    random = Random(20261124)
    given = os.environ.get("QEETID_AUTHZ_CATALOGUE")
    catalogue = choose(Path(given) if given else None, seed=1)
    document = document_over(catalogue, random)
    report = import_document(connection, document)
    connection.execute("VACUUM ANALYZE")

    assert report.counts["users"].added == USERS
    assert len(catalogue.roles) == report.counts["roles"].added

    with (
        Authorizer.open(database) as authz,
        sidecar(database, caller_auth="off", batch_limit=BATCH) as base_url,
    ):
        for round_ in range(2):
            questions = random_questions(connection, random)
            expected = truth.answers(connection, questions)
            assert 0.3 < sum(expected) / len(expected) < 0.99

            in_process = [
                authz.can(Principal.user(user, tenant), key)
                for tenant, user, key in questions
            ]
            assert expected == in_process
            assert expected == ask_over_http(base_url, questions)

            if round_ == 0:
                xid = write_randomly(connection, random)
                eventually(lambda xid=xid: authz.revision.xmin > xid)  # type: ignore[misc]
                eventually(lambda xid=xid: seen_up_to(base_url) > xid)  # type: ignore[misc]
