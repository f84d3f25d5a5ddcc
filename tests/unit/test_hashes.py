"""What a stored hash of a secret accepts (fact 6)."""

import bcrypt
import pytest

from qeetid_authz.credentials.hashes import DUMMY_HASH, verify_secret
from tests.server.town import argon2id

BCRYPT = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize(
    "stored",
    [argon2id("secret"), argon2id("secret", 19456, 2), BCRYPT],
    ids=["argon2id", "argon2id as Qeet ID has it", "bcrypt"],
)
def test_accepts_its_own_secret_only(stored: str) -> None:
    """Argon2id, Qeet ID's parameters among them, and bcrypt accept one secret."""
    assert verify_secret(stored, "secret")

    assert not verify_secret(stored, "Secret")
    assert not verify_secret(stored, "")
    assert not verify_secret(stored, "secret\udcff")


def test_bcrypt_of_another_prefix() -> None:
    """The `2a` that Go writes is read like `2b`."""
    assert verify_secret(BCRYPT.replace("$2b$", "$2a$"), "secret")


def test_bcrypt_cuts_nothing_off() -> None:
    """A secret beyond bcrypt's 72 bytes is refused, not shortened."""
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()

    assert verify_secret(stored, "x" * 72)
    assert not verify_secret(stored, "x" * 73)


UNREADABLE = [
    "",
    "secret",
    "$argon2id$",
    "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA",
    "$argon2id$v=19$m=99999999999,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAA",
    "$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAA",
    "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$é",
    argon2id("secret").replace("argon2id", "argon2i"),
    argon2id("secret")[:-4],
    "$2b$",
    "$2b$99$" + "a" * 53,
    BCRYPT[:-1],
    BCRYPT + "x",
    "é",
]


@pytest.mark.parametrize("stored", UNREADABLE, ids=range(len(UNREADABLE)))
def test_malformed_hash_accepts_nothing(stored: str) -> None:
    """A hash that can't be read is nobody's, and raises nothing."""
    assert not verify_secret(stored, "secret")


def test_the_dummy_costs_what_a_real_one_costs() -> None:
    """The hash that stands in for none is well formed, of Qeet ID's parameters."""
    parameters = argon2id("secret", 19456, 2).rpartition("$")[0].rpartition("$")[0]

    assert DUMMY_HASH.startswith(parameters)
    assert not verify_secret(DUMMY_HASH, "secret")
