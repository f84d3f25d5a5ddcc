"""The library and the sidecar say what SQL says, on random databases full of quirks."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from random import Random
from typing import Any

import psycopg
import pytest

from qeetid_authz import Authorizer, Principal, Semantics
from qeetid_authz.ids import format_id
from tests import truth
from tests.integration.following import eventually
from tests.server.sidecars import Wire, ask_in_batch, request, seen_up_to, sidecar
from tests.tables import Tables, named, read, write
from tests.writes import MACHINES, SCOPES, TENANTS, USERS, random_tables, random_write

STRANGER = named("user", "stranger")
QUESTIONS = [
    (format_id(tenant), format_id(user), key)
    for tenant, user, key in product(
        [*TENANTS, STRANGER], [*USERS, *MACHINES, STRANGER], [*SCOPES, "no:such"]
    )
]


class Everything:
    """One database, an authorizer and a sidecar over it in each semantics."""

    def __init__(self, database: str, stack: ExitStack) -> None:
        self.connection = stack.enter_context(
            psycopg.connect(database, autocommit=True)
        )
        self.authorizers = {
            how: stack.enter_context(Authorizer.open(database, semantics=how))
            for how in Semantics
        }
        self.sidecars = {
            how: stack.enter_context(
                sidecar(database, semantics=how, caller_auth="off", batch_limit=1000)
            )
            for how in Semantics
        }

    def rewrite(self, tables: Tables) -> None:
        """Make the database hold these tables, and everybody see them."""
        rewrite(self.connection, tables)
        self.wait()

    def wait(self) -> None:
        """Wait until everyone has seen what is committed."""
        row = self.connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        xid = int(row[0])
        for authz in self.authorizers.values():
            eventually(lambda authz=authz: authz.revision.xmin > xid)  # type: ignore[misc]
        for base_url in self.sidecars.values():
            eventually(lambda base_url=base_url: seen_up_to(base_url) > xid)  # type: ignore[misc]

    def assert_all_agree(self, how: Semantics) -> None:
        """Every question gets SQL's answer, in process and over HTTP, one by one."""
        true = truth.grants(self.connection, how)
        expected = [question in true for question in QUESTIONS]
        authz = self.authorizers[how]
        asked = [(Principal.user(user, tenant), key) for tenant, user, key in QUESTIONS]

        assert expected == [authz.can(*question) for question in asked]
        assert expected == [d.allowed for d in authz.check_many(asked)]
        assert expected == _asked_singly(self.sidecars[how])
        assert expected == _asked_in_batches(self.sidecars[how])

    def assert_explanations_agree(self) -> None:
        """Mirror explains with the paths of the hosted server's own SQL."""
        paths = truth.mirror_paths(self.connection)
        for tenant, user, key in QUESTIONS:
            body = _explained(self.sidecars[Semantics.MIRROR], tenant, user, key)
            expected = paths.get((tenant, user, key), [])
            got = sorted((step["via"], step["granted_by"]) for step in body["paths"])
            assert expected == got
            assert bool(expected) is body["allowed"]


def rewrite(connection: psycopg.Connection, tables: Tables) -> None:
    """Make a database hold these tables, by SQL a user might write."""
    with connection.transaction():
        for relation in ("user_roles", "group_roles", "role_permissions"):
            connection.execute(f"DELETE FROM rbac.{relation}")
        connection.execute("DELETE FROM tenant.group_members")
        connection.execute("DELETE FROM rbac.permissions")
        connection.execute('DELETE FROM "user".users')
        connection.execute("DELETE FROM tenant.tenants")
        write(tables, connection)


def _target(tenant: str, user: str, key: str) -> str:
    return f"/v1/check?tenant_id={tenant}&user_id={user}&permission={key}"


def _explained(base_url: str, tenant: str, user: str, key: str) -> Any:
    target = _target(tenant, user, key) + "&explain=true"
    return json.loads(request(base_url, target).body)


def _asked_singly(base_url: str) -> list[bool]:
    answers = []
    with Wire(base_url) as wire:
        for question in QUESTIONS:
            head = f"GET {_target(*question)} HTTP/1.1\r\nHost: sidecar\r\n\r\n"
            wire.send(head.encode())
            answers.append(json.loads(wire.receive().body)["allowed"])
    return answers


def _asked_in_batches(base_url: str) -> list[bool]:
    answers = []
    for tenant in dict.fromkeys(tenant for tenant, _, _ in QUESTIONS):
        of_tenant = [(user, key) for t, user, key in QUESTIONS if t == tenant]
        answers += ask_in_batch(base_url, tenant, of_tenant)
    return answers


@pytest.fixture
def everything(database: str) -> Iterator[Everything]:
    """The whole, torn down in reverse."""
    with ExitStack() as stack:
        yield Everything(database, stack)


def test_everybody_agrees_before_and_after_writes(everything: Everything) -> None:
    """SQL, library and sidecar agree on a dozen databases, and after writes to each."""
    random = Random(20261124)
    for _ in range(6):
        tables = random_tables(random)
        everything.rewrite(tables)
        assert tables == read(everything.connection)
        for how in Semantics:
            everything.assert_all_agree(how)
        everything.assert_explanations_agree()
        for _ in range(5):
            random_write(tables, random)
        everything.rewrite(tables)
        for how in Semantics:
            everything.assert_all_agree(how)
