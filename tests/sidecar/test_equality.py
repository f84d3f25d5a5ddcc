"""A sidecar's client says what an authorizer over the same database says."""

from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from qeetid_authz import Authorizer, PermissionDenied, Principal, Semantics
from qeetid_authz.errors import ApiKeyExpiredError, AuthzError, TenantlessTokenError
from qeetid_authz.principal import Kind
from qeetid_authz.sidecar import listing
from tests.integration.following import eventually
from tests.integration.test_equivalence import rewrite
from tests.integration.world import AGENT, AGENT_KEY, ANNS_KEY, SERVICE, SESSION
from tests.principals import ADDRESSES, random_principal
from tests.server.bearers import READING_AGENT, Office, now
from tests.server.sidecars import sidecar
from tests.server.town import ACME_KEY, ANN, BOB, KEY, NOBODY, SUE
from tests.sidecar.clients import KINDS, Opened, of_every_kind
from tests.sidecar.conftest import LATE_KEY
from tests.writes import SCOPES, TENANTS, USERS, random_tables

WORLDS = {Semantics.STRICT: 3, Semantics.MIRROR: 2}
ODD = ["no:such", "", "odd & <key>\u2028\0;+%é", "x" * 3000]


class Both:
    """An authorizer, and a client of either kind of a sidecar, over one database."""

    def __init__(self, database: str, how: Semantics, stack: ExitStack) -> None:
        enter = stack.enter_context
        self.connection = enter(psycopg.connect(database, autocommit=True))
        self.authz = enter(Authorizer.open(database, semantics=how))
        base_url = enter(sidecar(database, semantics=how, caller_auth="off"))
        self.clients: list[Opened] = [
            enter(opening(base_url)) for opening in KINDS.values()
        ]

    def rewrite(self, random: Random) -> None:
        """Make another world, and wait until both have seen it."""
        rewrite(self.connection, random_tables(random))
        query = "SELECT pg_current_xact_id()::text"
        row = self.connection.execute(query).fetchone()
        assert row is not None
        xid = int(row[0])
        eventually(lambda: self.authz.revision.xmin > xid)
        eventually(lambda: self.clients[0].revision.xmin > xid)

    def assert_alike(self, who: Principal, key: str, ip: str | None) -> None:
        """Whatever is asked about one principal is answered alike."""
        decision = self.authz.check(who, key, ip)
        explanation = self.authz.explain(who, key, ip)
        for client in self.clients:
            assert decision.allowed is client.can(who, key, ip)
            said = client.check(who, key, ip)
            assert (decision.allowed, decision.reason) == (said.allowed, said.reason)
            assert explanation == _at_its_time(
                client.explain(who, key, ip), explanation
            )
            assert _required(self.authz, who, key, ip) == _required(
                client, who, key, ip
            )

    def assert_all_alike(self, questions: list[tuple[Principal, str]]) -> None:
        """So is what is asked at once, and what a principal or a permission has."""
        reasons = [each.reason for each in self.authz.check_many(questions)]
        for client in self.clients:
            said = client.check_many(questions)
            assert reasons == [each.reason for each in said]
            assert 1 == len({each.revision for each in said})
            for who, key in questions:
                held = self.authz.effective_permissions(who)
                assert held == client.effective_permissions(who)
                for given in ({}, {"limit": 2}, {"after": who.id}):
                    holders = list(self.authz.who_can(who.tenant_id, key, **given))
                    assert holders == list(client.who_can(who.tenant_id, key, **given))


def _at_its_time(said: Any, other: Any) -> Any:
    """An explanation, but of another's moment: each replica has its own."""
    assert said.revision.incarnation == other.revision.incarnation
    assert 0 <= said.age < 30
    return said._replace(revision=other.revision, age=other.age)


def _required(authz: Any, who: Principal, key: str, ip: str | None) -> Any:
    try:
        return authz.require(who, key, ip)
    except PermissionDenied as denied:
        return str(denied), denied.decision.reason


@pytest.mark.parametrize("how", Semantics)
def test_every_method_is_the_authorizers(
    database: str, how: Semantics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In random worlds, of principals of every kind with any bounds, of either client."""
    monkeypatch.setattr(listing, "PAGE", 2)
    with ExitStack() as stack:
        both = Both(database, how, stack)
        for seed in range(WORLDS[how]):
            random = Random(seed)
            both.rewrite(random)
            asked = [random_principal(random) for _ in range(18)]
            for who in asked:
                for key in random.sample(SCOPES, 2):
                    both.assert_alike(who, key, random.choice(ADDRESSES))
            both.assert_all_alike([(who, random.choice(SCOPES)) for who in asked[:8]])
        plain = Principal.of(Kind.USER, USERS[0], TENANTS[0])
        for key in ODD:
            both.assert_alike(plain, key, None)
            both.assert_all_alike([(plain, key)])


def test_everybody_is_recognised_alike(
    here: Office, settled_database: str, tmp_path: Path
) -> None:
    """By credentials of every kind; a refusal is of the authorizer's class or above."""
    jwks = tmp_path / "jwks.json"
    jwks.write_bytes(here.issuer.as_jwks())
    end = now() + 600
    headers = [
        here.user(sid=SESSION, exp=end),
        here.user(scope=f"z {KEY}", exp=end),
        here.user(BOB, act={"sub": AGENT}, exp=end),
        here.user(READING_AGENT, exp=end),
        here.agent(AGENT, scope=AGENT_KEY, exp=end),
        here.service(SERVICE, exp=end),
        f"ApiKey {ACME_KEY}",
        f"ApiKey  {ANNS_KEY} ",
        f"ApiKey {LATE_KEY}",
        "ApiKey qk_nobody.x",
        "ApiKey nothing",
        "Bearer nothing",
        "Basic nothing",
        "",
        here.user(ANN, NOBODY),
        here.user(SUE),
        here.user(exp=1),
        here.user(aud="others"),
        here.user(act={"sub": NOBODY}),
        here.agent(NOBODY),
        here.service(NOBODY),
    ]
    with (
        Authorizer.open(settled_database, jwks=str(jwks)) as authz,
        of_every_kind(here.base_url, api_key=ACME_KEY) as clients,
    ):
        seen = set()
        for header in headers:
            expected = _recognised(authz, header)
            seen.add(type(expected))
            for client in clients:
                said = _recognised(client, header)
                if isinstance(expected, Principal):
                    assert expected == said
                else:
                    assert isinstance(expected, type(said))
                    assert type(said) is not AuthzError
    assert {Principal, ApiKeyExpiredError, TenantlessTokenError} < seen


def _recognised(authz: Any, header: str) -> Any:
    try:
        return authz.authenticate(header)
    except AuthzError as error:
        return error
