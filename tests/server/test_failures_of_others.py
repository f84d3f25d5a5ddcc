"""Failures that other products shipped: duplicates, look-alikes, what came back."""

from random import Random

import psycopg

from qeetid_authz import Authorizer, Principal
from tests.integration.following import assert_follows
from tests.server.sidecars import ask_in_batch, sidecar
from tests.server.test_check import ask
from tests.server.town import ACME, ANN, BOB, CLERK, EVE, KEY, ODD_KEY, build

LOOKALIKES = (
    "caf\u00e9:read",  # composed
    "cafe\u0301:read",  # decomposed
    "CAF\u00c9:read",
    "billing:write",
    "Billing:write",
    "billing:writ\u0435",  # its last letter is Cyrillic
    "billing:write ",
    "billing:write\u200b",  # a space of no width
    "\uff42illing:write",  # full width
    "stra\u00dfe:read",
    "strasse:read",
    "\u212a:read",  # the sign of kelvin
    "k:read",
)


def test_a_batch_is_its_questions_one_by_one(town_database: str) -> None:
    """Whatever is asked twice, and in which order, each gets its own answer."""
    random = Random(14)
    asked = [
        (random.choice((ANN, BOB, EVE)), random.choice((KEY, ODD_KEY, "x:y")))
        for _ in range(200)
    ]
    with sidecar(town_database, caller_auth="off") as base_url:
        single = {
            (user, key): ask(base_url, user_id=user, permission=key).body
            for user, key in set(asked)
        }
        answers = ask_in_batch(base_url, ACME, asked)

    assert len(single) < len(asked)
    assert {True, False} == set(answers)
    assert answers == [single[question] == b'{"allowed":true}\n' for question in asked]
    with Authorizer.open(town_database) as authz:
        questions = [(Principal.user(user, ACME), key) for user, key in asked]
        assert answers == [bool(decision) for decision in authz.check_many(questions)]


def test_keys_that_look_alike_are_different(
    town: str, connection: psycopg.Connection
) -> None:
    """Who holds one key holds that one, whatever looks, folds or composes to it."""
    for key in LOOKALIKES:
        connection.execute(
            "INSERT INTO rbac.permissions (key) VALUES (%s) ON CONFLICT DO NOTHING",
            (key,),
        )
    for held in LOOKALIKES:
        connection.execute("DELETE FROM rbac.role_permissions")
        connection.execute(
            "INSERT INTO rbac.role_permissions (role_id, permission_id)"
            " SELECT %s, id FROM rbac.permissions WHERE key = %s",
            (CLERK, held),
        )
        with Authorizer.open(town) as authz:
            ann = Principal.user(ANN, ACME)

            assert [held] == [key for key in LOOKALIKES if authz.can(ann, key)]
            assert [held] == authz.effective_permissions(ann)


def test_what_was_deleted_does_not_come_back(
    database: str, connection: psycopg.Connection
) -> None:
    """A role made anew, by its name or by its very id, has no member of the former."""
    build(connection)
    with Authorizer.open(database, poll_interval=0.01) as authz:
        ann, bob = Principal.user(ANN, ACME), Principal.user(BOB, ACME)
        assert authz.can(ann, KEY)
        assert authz.can(bob, KEY)
        with connection.transaction():
            connection.execute("DELETE FROM rbac.roles WHERE id = %s", (CLERK,))
        assert_follows(authz, connection)
        assert not authz.can(ann, KEY)
        assert not authz.can(bob, KEY)

        for again in (CLERK, "00000000-0000-4000-8000-00000000c1e4"):
            connection.execute(
                "INSERT INTO rbac.roles (id, tenant_id, name) VALUES (%s, %s, %s)",
                (again, ACME, f"Clerk {again}"),
            )
            connection.execute(
                "INSERT INTO rbac.role_permissions (role_id, permission_id)"
                " SELECT %s, id FROM rbac.permissions WHERE key = %s",
                (again, KEY),
            )
            assert_follows(authz, connection)
            assert not authz.can(ann, KEY)
            assert not authz.can(bob, KEY)

        connection.execute(
            "INSERT INTO rbac.user_roles (user_id, tenant_id, role_id)"
            " VALUES (%s, %s, %s)",
            (ANN, ACME, CLERK),
        )
        assert_follows(authz, connection)
        assert authz.can(ann, KEY)
        assert not authz.can(bob, KEY)
