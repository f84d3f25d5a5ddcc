"""From which addresses a tenant's principals may act (Qeet ID fact 10)."""

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from qeetid_authz.ids import Id
from qeetid_authz.model import IpRule

if TYPE_CHECKING:  # Most who import this never meet an address.
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address: TypeAlias = Union["IPv4Address", "IPv6Address"]
Network: TypeAlias = Union["IPv4Network", "IPv6Network"]

_DENY = "deny"
_MAPPED = "::ffff:0:0/96"


class Verdict(NamedTuple):
    """Whether an address is let in, and the rule that denies it, if one does."""

    lets_in: bool
    rule: IpRule | None = None


LET_IN = Verdict(lets_in=True)


class IpPolicy:
    """A tenant's IP rules, and whether it heeds them.

    A rule that denies wins over those that allow, of which one must match if there
    are any. What is no network matches nothing: who may only come from there may not
    come at all.
    """

    __slots__ = ("_networks", "enforced", "rules")

    def __init__(self) -> None:
        self.enforced = False
        self.rules: dict[Id, IpRule] = {}
        self._networks: dict[Id, Network | None] = {}

    @property
    def is_void(self) -> bool:
        """Whether nothing was ever laid down."""
        return not self.enforced and not self.rules

    def put(self, id_: Id, rule: IpRule | None) -> None:
        """Take over a rule, or None for one that is gone."""
        self.rules.pop(id_, None)
        self._networks.pop(id_, None)
        if rule is not None:
            self.rules[id_] = rule
            self._networks[id_] = _network(rule.cidr)

    def judge(self, address: Address) -> Verdict:
        """Whether one may act from an address; if not, the first rule that denies it.

        The first by its text. There is none when no rule that allows lets it in.
        """
        if not self.enforced:
            return LET_IN
        matching = self._matching(address)
        denying = [rule for rule in matching if rule.action == _DENY]
        if denying:
            first = min(denying, key=lambda rule: (rule.cidr, rule.label))
            return Verdict(lets_in=False, rule=first)
        nothing_allows = all(rule.action == _DENY for rule in self.rules.values())
        return Verdict(lets_in=bool(matching) or nothing_allows)

    def _matching(self, address: Address) -> list[IpRule]:
        return [
            self.rules[id_]
            for id_, network in self._networks.items()
            if network is not None and address in network
        ]


def parse_address(text: str) -> Address:
    """Read an address; an IPv4 one mapped into IPv6 is the IPv4 one.

    Raises:
        TypeError: `text` is no string.
        ValueError: it is no address.
    """
    import ipaddress  # noqa: PLC0415

    if not isinstance(text, str):
        raise TypeError(f"an IP address must be a string, not `{text!r}`")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"`{text}` is no IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _network(cidr: str) -> Network | None:
    import ipaddress  # noqa: PLC0415

    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return None
    ipv4_mapped = ipaddress.IPv6Network(_MAPPED)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(ipv4_mapped):
        mapped = network.network_address.ipv4_mapped
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
    return network
