"""The pytest plugin: an authorizer for each test.

Installed with the distribution, under this module's own name.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qeetid_authz.testing.authorizer import (
        AsyncInMemoryAuthorizer,
        InMemoryAuthorizer,
    )


@pytest.fixture
def qeetid_authz() -> "Iterator[InMemoryAuthorizer]":
    """An authorizer without facts, for applications that take an `Authorizer`."""
    # Here, as every run of pytest loads plugins and few use them all.
    from qeetid_authz.testing.authorizer import InMemoryAuthorizer  # noqa: PLC0415

    with InMemoryAuthorizer() as authz:
        yield authz


@pytest.fixture
def qeetid_authz_async() -> "Iterator[AsyncInMemoryAuthorizer]":
    """The same for applications that take an `AsyncAuthorizer`."""
    from qeetid_authz.testing.authorizer import AsyncInMemoryAuthorizer  # noqa: PLC0415

    with AsyncInMemoryAuthorizer() as authz:
        yield authz
