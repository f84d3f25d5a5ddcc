"""Whether a secret belongs to the slow hash that a database keeps of it (fact 6)."""

DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$cWVldGlkLWF1dGh6LTAwMA"
    "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""Of no secret; costs what one made by Qeet ID costs."""


def verify_secret(stored_hash: str, secret: str) -> bool:
    """Whether a secret is the one of a stored hash; slow, as it is meant to be.

    Needs the extra `tokens`.

    Args:
        stored_hash: an Argon2id string in PHC form or, of older rows, bcrypt; no
            secret belongs to anything else.
        secret: what the caller presents.
    """
    # Here, since who only follows a database needs neither.
    import bcrypt  # noqa: PLC0415
    from cryptography.exceptions import InvalidKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415

    try:
        given = secret.encode("utf-8", "surrogateescape")
        if stored_hash.startswith("$argon2id$"):
            Argon2id.verify_phc_encoded(given, stored_hash)
            return True
        # bcrypt refuses more than 72 bytes, which it couldn't tell apart.
        return bcrypt.checkpw(given, stored_hash.encode())
    except (InvalidKey, ValueError, MemoryError):
        return False
