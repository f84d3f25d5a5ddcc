"""What an API server presents: its kubeconfig knows no scheme but Bearer."""

from collections.abc import Iterable

from qeetid_authz.credentials.authentication import read_bearer

_KEY = "qk_"  # no access token begins so: it is JSON in base64url


def presented(authorizations: Iterable[str]) -> list[str]:
    """`Authorization` as every other route reads it: an API key under its own name."""
    return [_as_key(each) for each in authorizations]


def _as_key(authorization: str) -> str:
    token = read_bearer(authorization)
    if token is not None and token.startswith(_KEY):
        return f"ApiKey {token}"
    return authorization
