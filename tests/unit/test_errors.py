"""What errors say beyond their words."""

from qeetid_authz.errors import SchemaError


def test_what_differs_is_told_and_kept() -> None:
    """Each difference of a schema is in the message, and by itself."""
    error = SchemaError(["no table `a`", "no column `b.c`"])

    assert ("no table `a`", "no column `b.c`") == error.problems
    assert str(error).endswith(": no table `a`; no column `b.c`")
