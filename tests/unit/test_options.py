"""Options of an authorizer that make no sense."""

import pytest

from qeetid_authz.options import Options


@pytest.mark.parametrize("interval", [0.0, -1.0, 30.0, 31.0, float("nan")])
def test_a_poll_comes_before_staleness(interval: float) -> None:
    """Else everything would be denied between two of them."""
    with pytest.raises(ValueError, match="poll_interval .* less than max_staleness"):
        Options(poll_interval=interval, max_staleness=30.0)
