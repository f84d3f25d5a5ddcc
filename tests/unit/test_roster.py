"""Who there is in a tenant, told from the index as from the tables."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind
from tests.principals import STRANGER
from tests.tables import Seeded
from tests.writes import HOLDERS, MACHINES, TENANTS, USERS, random_tables

randoms = st.integers(0, 2**32 - 1).map(Seeded)


@given(randoms, st.sampled_from(list(Semantics)))
def test_it_tells_what_the_tables_say(random: Random, how: Semantics) -> None:
    """Kinds of ids, who belongs where, whose credentials there are, and which keys."""
    t = random_tables(random)
    engine = Engine(how)
    engine.publish(t.snapshot(), 0.0)

    for id_ in (*USERS, *MACHINES, STRANGER):
        kind = Kind.SERVICE if id_ in t.services else Kind.USER
        assert (Kind.AGENT if id_ in t.agents else kind) is engine.kind_of(id_)
    for tenant in (*TENANTS, STRANGER):
        for who in (*HOLDERS, STRANGER):
            rows = t.user_roles | t.group_members
            expected = (tenant, who) in {row[:2] for row in rows}
            assert expected is engine.belongs(tenant, who)
        for kind, credentials in (
            (Kind.API_KEY, t.api_keys),
            (Kind.SERVICE, t.services),
            (Kind.AGENT, t.agents),
        ):
            of_tenant = [i for i, row in credentials.items() if row.tenant == tenant]
            assert sorted(of_tenant) == engine.credentialed(tenant, kind)
        own = {role for role, owned in t.roles.items() if owned.tenant == tenant}
        bundled = {t.permissions[p] for r, p in t.role_permissions if r in own}
        assert sorted(bundled) == engine.bundled(tenant)
