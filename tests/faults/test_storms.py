"""Many that start at once don't stay in step."""

from random import Random

import pytest

from qeetid_authz.errors import UnreachableError
from qeetid_authz.replica import Replica

SIDECARS = 50


def busiest(moments: list[float], width: float) -> int:
    """How many of some moments fall into the fullest window of a width."""
    moments = sorted(moments)
    return max(
        sum(begin <= each < begin + width for each in moments) for begin in moments
    )


@pytest.mark.parametrize("seed", range(20))
def test_those_that_fail_together_do_not_try_again_together(seed: int) -> None:
    """After a few failures fifty replicas are spread over seconds."""
    random = Random(seed)
    replicas = [Replica(0.02) for _ in range(SIDECARS)]
    tried = [0.0] * SIDECARS
    counts = []
    for _ in range(8):
        for at, replica in enumerate(replicas):
            replica.failed(UnreachableError("down"))
            tried[at] += replica.pause(random.random())
        counts.append(busiest(tried, 0.02))

    assert 0 < min(tried)
    assert counts[-1] <= SIDECARS / 5
    assert all(2.5 <= replica.pause(random.random()) <= 5.0 for replica in replicas)
