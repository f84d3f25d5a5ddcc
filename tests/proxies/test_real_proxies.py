"""nginx, Caddy, Traefik and Envoy: what passes them, and what doesn't."""

from tests.proxies.conftest import Stand


def test_who_may_is_let_through(stand: Stand) -> None:
    reply, seen = stand.send("/api/invoices/7?x=1", stand.anns())
    print(reply, seen)
    assert reply.status == 200 and seen is not None
