"""The scenarios, found by name or tag."""

from collections.abc import Iterable

from bench import (
    bench_apply,
    bench_authenticate,
    bench_batch,
    bench_can,
    bench_check,
    bench_client,
    bench_compile,
    bench_explain,
    bench_holders,
    bench_http,
    bench_introspect,
    bench_load,
    bench_pauses,
    bench_peers,
    bench_revocation,
    bench_soak,
    bench_start,
    bench_sustained,
    bench_visible,
)
from bench.cases import Scenario

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        bench_can.SCENARIO,
        bench_check.SCENARIO,
        bench_explain.SCENARIO,
        bench_holders.SCENARIO,
        bench_compile.SCENARIO,
        bench_apply.SCENARIO,
        bench_pauses.SCENARIO,
        bench_load.SCENARIO,
        bench_visible.SCENARIO,
        bench_sustained.SCENARIO,
        bench_start.SCENARIO,
        bench_authenticate.SCENARIO,
        bench_introspect.SCENARIO,
        bench_http.SCENARIO,
        bench_batch.SCENARIO,
        bench_client.SCENARIO,
        bench_peers.SCENARIO,
        bench_revocation.SCENARIO,
        bench_soak.SCENARIO,
    )
}


def find(wanted: Iterable[str]) -> list[Scenario]:
    """The scenarios of some names or tags; all that don't take too long if none is given.

    Raises:
        ValueError: there is no such name or tag.
    """
    names = set(wanted)
    tags = {tag for scenario in SCENARIOS.values() for tag in scenario.tags}
    unknown = sorted(names - SCENARIOS.keys() - tags)
    if unknown:
        raise ValueError(
            f"no scenario or tag `{unknown[0]}`; `python -m bench --list` shows them"
        )
    return [
        scenario
        for scenario in SCENARIOS.values()
        if (not names and not scenario.only_by_name)
        or scenario.name in names
        or names & scenario.tags
    ]
