"""IP rules: which addresses they let in (Qeet ID fact 10)."""

import pytest

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.index.iprules import IpPolicy, parse_address
from qeetid_authz.model import IpRule, Semantics
from qeetid_authz.principal import Principal
from tests.server.town import ACME, ANN, KEY, town
from tests.tables import named

TENANT = named("tenant", "acme")


def policy(*rules: str, enforced: bool = True) -> IpPolicy:
    """A policy of rules written `allow 192.0.2.0/24`."""
    made = IpPolicy()
    made.enforced = enforced
    for at, text in enumerate(rules):
        action, _, cidr = text.partition(" ")
        made.put(named("rule", at), IpRule(TENANT, cidr, action, f"rule {at}"))
    return made


@pytest.mark.parametrize(
    ("rules", "address", "expected"),
    [
        ((), "192.0.2.1", True),
        (("allow 192.0.2.0/24",), "192.0.2.1", True),
        (("allow 192.0.2.0/24",), "192.0.3.1", False),
        (("allow 192.0.2.7/24",), "192.0.2.1", True),
        (("deny 192.0.2.0/24",), "192.0.2.1", False),
        (("deny 192.0.2.0/24",), "192.0.3.1", True),
        (("allow 192.0.2.0/24", "deny 192.0.2.1"), "192.0.2.1", False),
        (("allow 192.0.2.0/24", "deny 192.0.2.1"), "192.0.2.2", True),
        (("deny 192.0.2.1", "allow 0.0.0.0/0"), "192.0.2.1", False),
        (("allow nonsense",), "192.0.2.1", False),
        (("deny nonsense",), "192.0.2.1", True),
        (("allow 2001:db8::/32",), "2001:db8::1", True),
        (("allow 2001:db8::/32",), "192.0.2.1", False),
        (("deny 192.0.2.0/24",), "::ffff:192.0.2.1", False),
        (("deny ::ffff:192.0.2.0/120",), "192.0.2.1", False),
        (("allow 0.0.0.0/0",), "::1", False),
        (("deny fe80::/10",), "fe80::1%eth0", False),
    ],
)
def test_rules_decide(rules: tuple[str, ...], address: str, expected: bool) -> None:
    """A rule that denies wins; if any allows, one that allows must match."""
    assert expected is policy(*rules).judge(parse_address(address)).lets_in
    assert policy(*rules, enforced=False).judge(parse_address(address)).lets_in


def test_the_denying_rule_is_named() -> None:
    """Of several that match the first by its text, of those that deny only."""
    rules = policy("allow 192.0.2.0/24", "deny 192.0.2.0/25", "deny 192.0.0.0/16")

    lets_in, denying = rules.judge(parse_address("192.0.2.1"))

    assert not lets_in
    assert denying is not None
    assert denying.cidr == "192.0.0.0/16"
    assert rules.judge(parse_address("192.0.2.200")) == (False, denying)
    assert rules.judge(parse_address("198.51.100.1")) == (False, None)


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2", "192.0.2.1/24", "1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """The message names what was given."""
    with pytest.raises(ValueError, match="is no IP address"):
        parse_address(text)


def test_an_address_must_be_text() -> None:
    """A number isn't taken for an address, as the standard library would."""
    with pytest.raises(TypeError, match="must be a string"):
        parse_address(3221225985)  # type: ignore[arg-type]


def engine(semantics: Semantics) -> Engine:
    tables = town()
    tables.ip_rules[named("rule", "office")] = IpRule(
        TENANT, "192.0.2.0/24", "allow", "office"
    )
    tables.ip_rules[named("rule", "spam")] = IpRule(TENANT, "192.0.2.9", "deny", "spam")
    tables.ip_enforced.add(TENANT)
    made = Engine(semantics)
    made.publish(tables.snapshot(), 0.0)
    return made


def test_an_address_can_only_deny() -> None:
    """Who says from where is judged; who doesn't isn't, nor is anybody under mirror."""
    ann = Principal.user(ANN, ACME)
    strict, mirror = engine(Semantics.STRICT), engine(Semantics.MIRROR)

    assert strict.can(ann, KEY)
    assert strict.can(ann, KEY, "192.0.2.1")
    assert not strict.can(ann, KEY, "198.51.100.1")
    assert not strict.can(ann, "no:such", "192.0.2.1")
    assert mirror.can(ann, KEY, "198.51.100.1")
    assert [True] == strict.can_many(TENANT, [(ann.subject, KEY)], "192.0.2.1")[0]
    assert [False] == strict.can_many(TENANT, [(ann.subject, KEY)], "192.0.2.9")[0]
    assert [False] == [bool(each) for each in strict.check_many([(ann, KEY)], "::1")]


def test_an_explanation_names_the_rule() -> None:
    """The rule that denies, or none when no rule lets the address in."""
    ann, strict = Principal.user(ANN, ACME), engine(Semantics.STRICT)

    denied = strict.explain(ann, KEY, "192.0.2.9")
    outside = strict.explain(ann, KEY, "198.51.100.1")

    assert Reason.IP_DENIED is denied.reason is outside.reason
    assert denied.ip_rule is not None
    assert denied.ip_rule.label == "spam"
    assert outside.ip_rule is None
    assert strict.explain(ann, KEY, "192.0.2.1").allowed
    account, _, _ = strict.account(ann, "192.0.2.9")
    assert (account.reason, account.ip_rule) == (Reason.IP_DENIED, denied.ip_rule)


def test_a_stale_account_is_empty() -> None:
    """It says why, whoever asks."""
    strict = engine(Semantics.STRICT)
    strict.expire()

    account, _, _ = strict.account(Principal.user(ANN, ACME))

    assert (account.reason, account.permissions) == (Reason.STALE, ())
