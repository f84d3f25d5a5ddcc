"""The naive evaluator for principals of every kind, and principals to ask about.

Written from the design's algebra and Qeet ID facts 4 to 6 and 10, straight over the
tables; what roles and groups grant it asks of `tests.oracle`.
"""

from ipaddress import ip_address, ip_network
from random import Random

from qeetid_authz.ids import format_id
from qeetid_authz.principal import Kind, Principal
from tests import oracle
from tests.tables import Tables, named
from tests.writes import (
    AGENTS,
    API_KEYS,
    FUTURE,
    PAST,
    SCOPES,
    SERVICES,
    SESSIONS,
    TENANTS,
    USERS,
)

STRANGER = named("user", "stranger")
SUBJECTS = {
    Kind.USER: [*USERS, STRANGER, SERVICES[0], AGENTS[0]],
    Kind.API_KEY: [*API_KEYS, STRANGER],
    Kind.SERVICE: [*SERVICES, STRANGER, USERS[0]],
    Kind.AGENT: [*AGENTS, STRANGER, USERS[0]],
}
NOW = (PAST + FUTURE) / 2
ADDRESSES = (None, "192.0.2.7", "192.0.2.8", "198.51.100.1", "2001:db8::1")


def random_principal(random: Random) -> Principal:
    """One of any kind, with any bounds."""
    tenant = random.choice(TENANTS)
    bounded = random.random() < 0.7
    actor = None
    if bounded and random.random() < 0.3:
        kind = random.choice((Kind.USER, Kind.AGENT, Kind.SERVICE))
        actor = Principal.of(kind, random.choice(SUBJECTS[kind]), tenant)
    kind = random.choice(list(Kind))
    subject = random.choice(SUBJECTS[kind])
    if not bounded:
        return Principal.of(kind, subject, tenant)
    return Principal.of(
        kind,
        subject,
        tenant,
        limit=random.choice((None, None, random.sample(SCOPES, 3))),
        session_id=random.choice((None, format_id(random.choice(SESSIONS)))),
        actor=actor,
        expires_at=random.choice((None, None, PAST, FUTURE)),
    )


def can(t: Tables, semantics: str, who: Principal, key: str, ip: str | None) -> bool:
    """Whether a principal may, by the algebra."""
    strict = semantics == "strict"
    if who.expires_at is not None and who.expires_at <= NOW:
        return False
    if not authority(t, semantics, who.kind, (who.tenant, who.subject), key):
        return False
    if not strict:
        return True
    return (
        who.session not in t.revoked_sessions
        and let_in(t, who.tenant, ip)
        and all(key in scopes for scopes in limits(t, who))
        and (
            who.actor is None
            or authority(
                t, semantics, who.actor.kind, (who.tenant, who.actor.subject), key
            )
        )
    )


def limits(t: Tables, who: Principal) -> list[set[str]]:
    """What a credential is limited to."""
    found = [] if who.limit is None else [set(who.limit)]
    if who.kind is Kind.API_KEY and who.subject in t.api_keys:
        scopes = t.api_keys[who.subject].scopes
        found += [set(scopes)] if scopes else []
    return found


def authority(
    t: Tables, semantics: str, kind: Kind, who: tuple[bytes, bytes], key: str
) -> bool:
    """Whether somebody of a tenant, given with its id, holds a key by itself."""
    tenant, subject = who
    if semantics == "strict" and t.tenants.get(tenant) != "active":
        return False
    if kind is Kind.API_KEY:
        return _key_authority(t, semantics, who, key)
    if kind is Kind.USER and semantics == "strict":
        kind = Kind.AGENT if subject in t.agents else kind
        kind = Kind.SERVICE if subject in t.services else kind
    if kind is Kind.USER:
        return oracle.check(t, semantics, tenant, subject, key)
    machine = (t.agents if kind is Kind.AGENT else t.services).get(subject)
    if machine is None or machine.tenant != tenant:
        return False
    if machine.status != "active" and (semantics == "strict" or kind is Kind.AGENT):
        return False
    return key in machine.scopes or oracle.by_roles(t, semantics, tenant, subject, key)


def _key_authority(
    t: Tables, semantics: str, who: tuple[bytes, bytes], key: str
) -> bool:
    tenant, subject = who
    row = t.api_keys.get(subject)
    if row is None or row.revoked or row.tenant != tenant:
        return False
    if row.expires_at is not None and row.expires_at < NOW:
        return False
    if row.user is None:
        return key in row.scopes
    return authority(t, semantics, Kind.USER, (tenant, row.user), key)


def let_in(t: Tables, tenant: bytes, ip: str | None) -> bool:
    """Whether a tenant's IP rules let an address in."""
    if ip is None or tenant not in t.ip_enforced:
        return True
    rules = [rule for rule in t.ip_rules.values() if rule.tenant == tenant]
    matching = [rule.action for rule in rules if matches(rule.cidr, ip)]
    if "deny" in matching:
        return False
    return "allow" in matching or all(rule.action == "deny" for rule in rules)


def matches(cidr: str, ip: str) -> bool:
    """Whether a rule is about an address."""
    try:
        return ip_address(ip) in ip_network(cidr, strict=False)
    except ValueError:
        return False
