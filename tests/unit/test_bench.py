"""The benchmark's generator, and that its command runs."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest

from bench.__main__ import main
from bench.bench_revocation import KINDS
from bench.cases import Absent, Case, Scale, Scenario, Settings
from bench.catalogues import OWNER_SHARE, read_catalogue, realistic
from bench.comparison import compare, is_regression
from bench.contest import Contender, ask, authenticate, compete
from bench.documents import Run, describe, read_json, write_json
from bench.figures import Figure, Point, Result
from bench.gaps import Gaps, asked_all_the_time, ticking
from bench.growth import curves
from bench.markdown import write_report
from bench.questions import of_many, of_one
from bench.report import all_met, verdict
from bench.runner import conclude, measure_apart
from bench.scenarios import SCENARIOS, find
from bench.statements import queries
from bench.subjects import named
from bench.synthesis import SHAPES, Shape, facts, synthesise
from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import unpack_members

ROOT = Path(__file__).parents[2]
SHAPE = Shape(tenants=3, users=50, groups=20, roles=8, permissions=40)


def test_equal_seeds_give_equal_facts() -> None:
    """The generator draws everything from its seed."""
    assert synthesise(SHAPE, 7).snapshot == synthesise(SHAPE, 7).snapshot
    assert synthesise(SHAPE, 7).snapshot != synthesise(SHAPE, 8).snapshot


def test_equal_seeds_give_equal_questions() -> None:
    """So do the questions."""
    tenancy = synthesise(SHAPE, 7)
    assert of_many(tenancy, 7) == of_many(tenancy, 7)
    assert of_one(tenancy, 7) != of_one(tenancy, 8)


def test_generator_keeps_to_the_shape() -> None:
    """There is as much of everything as was asked for."""
    snapshot = synthesise(SHAPE, 7).snapshot
    assert len(snapshot.tenants) == 3
    assert len(snapshot.groups) == 3 * 20
    assert len(snapshot.roles) == 3 * 8
    assert len(snapshot.permissions) == 40
    assert [len(run) // 16 for _, run in snapshot.statuses] == [3 * 50]
    members = [
        sum(len(users) // 16 for _, users in unpack_members(run))
        for _, run in snapshot.group_members
    ]
    assert members == [50 * 3] * 3
    assert {len(run) // 32 for _, run in snapshot.group_roles} == {20 * 2}
    assert {len(run) // 16 for _, run in snapshot.role_permissions} == {10}


def test_facts_are_counted() -> None:
    """Entities and pairs are counted once each."""
    shape = Shape(users=5, groups=4, roles=3, permissions=10, direct_share=1)
    entities = 1 + 5 + 4 + 3 + 10
    pairs = 5 * 3 + 4 * 2 + 3 * 10 + 5
    assert facts(synthesise(shape, 7).snapshot) == entities + pairs


def test_nobody_is_in_a_group_twice() -> None:
    """A user's groups are distinct, however skewed their sizes."""
    (tenant,) = synthesise(Shape(users=200, groups=5, skew=4), 7).tenants
    assert all(len(set(tenant.groups_of(user))) == 3 for user in range(200))


def test_impossible_shape_is_refused() -> None:
    """More groups a user than there are can't be drawn."""
    with pytest.raises(ValueError, match="groups_per_user `3` is more than the `2`"):
        Shape(groups=2)


def test_engine_answers_as_the_relations_say() -> None:
    """What the generator says users hold is what an engine finds."""
    tenancy = synthesise(SHAPE, 7)
    engine = Engine()
    engine.publish(tenancy.snapshot, 0.0)
    for tenant in range(3):
        for user in range(50):
            principal = tenancy.principal(user, tenant)
            held = sorted(tenancy.held(user, tenant))
            assert engine.effective_permissions(principal) == held


def test_wrong_answer_is_noticed() -> None:
    """Questions verified against an engine with other facts fail."""
    engine = Engine()
    engine.publish(synthesise(SHAPE, 8).snapshot, 0.0)
    with pytest.raises(AssertionError):
        of_many(synthesise(SHAPE, 7), 7).verify(engine)


def test_generated_catalogue_has_the_shape_of_a_real_one() -> None:
    """Most roles are small, few are large, and one has nearly everything."""
    catalogue = realistic(7)
    sizes = sorted(len(held) for held in catalogue.roles.values())
    assert len(catalogue.permissions) == len(set(catalogue.permissions)) == 13_790
    assert len(catalogue.roles) == 2_461
    assert 9 <= median(sizes) <= 13
    assert len(catalogue.roles["owner"]) == sizes[-1] == round(13_790 * OWNER_SHARE)
    assert 100_000 < sum(sizes) < 250_000
    assert catalogue == realistic(7) != realistic(8)


def test_catalogue_is_read_from_a_file(tmp_path: Path) -> None:
    """A real catalogue can stand in for the generated one."""
    path = tmp_path / "roles.json.gz"
    written = {
        "about": "two keys",
        "permissions": ["a.get", "a.set"],
        "roles": {"editor": {"title": "Editor", "permissions": [0, 1]}},
    }
    path.write_bytes(gzip.compress(json.dumps(written).encode()))
    catalogue = read_catalogue(path)
    assert catalogue.permissions == ("a.get", "a.set")
    assert catalogue.roles == {"editor": (0, 1)}
    tenancy = synthesise(Shape(roles_per_group=1), 7, catalogue)
    assert tenancy.keys({0}) == {"a.get", "a.set"}


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (None, "No such file"),
        ("{", "is no role catalogue"),
        ('{"permissions": []}', "missing required field `roles`"),
        (
            '{"permissions": ["a"], "roles": {"r": {"permissions": [1]}}}',
            "role `r` of `.*` has a position without a permission",
        ),
    ],
)
def test_file_that_is_no_catalogue_is_refused(
    written: str | None, complaint: str, tmp_path: Path
) -> None:
    """What is wrong with a catalogue is said, with its name."""
    path = tmp_path / "roles.json"
    if written is not None:
        path.write_text(written)
    with pytest.raises(ValueError, match=complaint):
        read_catalogue(path)


def test_the_first_user_can_be_in_more_groups() -> None:
    """`first_groups` are those of the first user alone, and an engine sees them."""
    shape = Shape(users=20, groups=50, roles=8, first_groups=40)
    tenancy = synthesise(shape, 7)
    (tenant,) = tenancy.tenants
    assert [40, 3, 3] == [len(set(tenant.groups_of(user))) for user in range(3)]
    engine = Engine()
    engine.publish(tenancy.snapshot, 0.0)
    for user in range(20):
        held = sorted(tenancy.held(user))
        assert held == engine.effective_permissions(tenancy.principal(user))


@pytest.mark.parametrize("name", SHAPES)
def test_named_shapes_answer_right(name: str) -> None:
    """Every named shape makes an engine, a smaller one in a quick run."""
    asked = named(name, Settings(scale=Scale.QUICK))
    of_one(asked.tenancy, 7).verify(asked.engine)
    of_many(asked.tenancy, 7).verify(asked.engine)


def result(*figures: Figure, case: str = "some case", **over: Any) -> Result:
    """A result of the scenario `can`."""
    return Result(scenario="can", case=case, figures=figures, **over)


def run_of(*results: Result) -> Run:
    """A run on some machine."""
    return describe(results, Settings())


def test_missed_target_is_told() -> None:
    """The verdict names what missed its target and by what, and what is absent."""
    kept = Figure.of("kept", "x", [1], target=2)
    missed = Figure.of("missed", "x", [3], target=2)
    few = Figure.of("few", "/s", [3], at_least=4)
    results = [
        result(kept, missed, few, Figure.of("n", "x", [9])),
        result(case="other", absent="install it"),
    ]
    assert not all_met(results)
    assert verdict(results).splitlines() == [
        "1 of 3 targets met",
        "  missed: can some case: missed 3.00 x, not <= 2",
        "  missed: can some case: few 3.00 /s, not >= 4",
        "  absent: can other: install it",
    ]
    assert all_met([result(kept)])


def test_figure_summarises_its_samples() -> None:
    """Percentiles are samples and known when there are enough; targets go by one."""
    figure = Figure.of("n", "ns", list(range(200, 0, -1)), target=100)
    assert (figure.minimum, figure.median, figure.maximum) == (1, 100.5, 200)
    assert (figure.p90, figure.p99, figure.p999) == (180, 198, None)
    assert figure.spread == 100
    assert figure.met is False
    assert Figure.of("n", "ns", [1]).met is None
    assert Figure.of("n", "ns", list(range(1_000))).p999 == 998


def test_target_may_be_a_floor_or_of_another_statistic() -> None:
    """`at_least` turns the direction, `by` chooses what is held to it."""
    samples = [1.0] * 98 + [5.0, 9.0]
    assert Figure.of("n", "/s", samples, at_least=1).met
    assert not Figure.of("n", "/s", samples, at_least=2).met
    assert Figure.of("n", "ms", samples, 5, by="p99").met
    assert not Figure.of("n", "ms", samples, 5, by="maximum").met


@pytest.mark.parametrize("samples", [[], [1.0] * 99])
def test_figure_without_enough_samples_is_refused(samples: list[float]) -> None:
    """No samples come to nothing, and few to no 99th percentile."""
    with pytest.raises(ValueError, match="figure `n` has"):
        Figure.of("n", "ms", samples, 5, by="p99")


def test_exponents_are_those_of_the_powers() -> None:
    """A curve that was made with a power has that power, at every step."""
    for power in (0.0, 0.5, 1.0, 2.0):
        points = [
            Figure.of("n", "us", [3 * size**power], point=Point("n, by size", size))
            for size in (10.0, 1.0, 100.0, 10_000.0)
        ]
        (curve,) = curves([result(each) for each in points])
        assert curve.sizes == (1.0, 10.0, 100.0, 10_000.0)
        assert curve.exponent == pytest.approx(power)
        assert curve.steps == pytest.approx([power] * 3)
        assert curve.decades == pytest.approx(4)


def test_one_size_is_no_curve() -> None:
    """There is nothing to fit."""
    alone = Figure.of("n", "us", [1], point=Point("n, by size", 1))
    assert curves([result(alone)]) == []


@pytest.mark.parametrize(
    ("unit", "after", "worse", "better"),
    [
        ("us", 10.9, 0, 0),
        ("us", 11.2, 1, 0),
        ("us", 8.8, 0, 1),
        ("/s", 8.8, 1, 0),
        ("/s", 11.2, 0, 1),
    ],
)
def test_comparison_counts_what_exceeds_the_bound(
    unit: str, after: float, worse: int, better: int
) -> None:
    """A change of more than the bound counts, in the direction that its unit has."""
    before = run_of(result(Figure.of("n", unit, [10.0])))
    now = run_of(result(Figure.of("n", unit, [after])))
    differences = compare(before, now, 0.1)
    assert worse == sum(each.is_worse for each in differences)
    assert better == sum(each.is_better for each in differences)
    assert is_regression(differences) is bool(worse)


def test_comparison_allows_for_the_spread_of_either_run() -> None:
    """What the samples of one run scatter by isn't a difference between two."""
    steady = run_of(result(Figure.of("n", "us", [10.0] * 8)))
    scattered = run_of(result(Figure.of("n", "us", [8.0, 8, 8, 13, 13, 17, 17, 17])))
    for pair in ((steady, scattered), (scattered, steady)):
        assert not is_regression(compare(*pair, 0.1))


def test_runs_with_nothing_in_common_are_refused() -> None:
    """Comparing nothing would find no regression."""
    some = run_of(result(Figure.of("n", "us", [1])))
    other = run_of(result(Figure.of("m", "us", [1])))
    with pytest.raises(ValueError, match="no figure in common"):
        compare(some, other)


def test_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """JSON keeps everything, and anything else is refused by name."""
    path = tmp_path / "run.json"
    figure = Figure.of("n", "us", [1, 2], 3, point=Point("n, by size", 1))
    written = run_of(result(figure, peak_mib=3.5), result(case="b", absent="no"))
    write_json(path, written)
    assert written == read_json(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"run.json` holds no results"):
        read_json(path)


def test_report_has_every_figure_and_its_pictures(tmp_path: Path) -> None:
    """The folder has a report that shows the pictures, equal for equal results."""
    run = run_of(
        result(
            *(
                Figure.of(
                    f"some figure {size}",
                    "us",
                    [size],
                    2,
                    point=Point("n, by size", size),
                    headline="some headline",
                )
                for size in (1, 10)
            ),
            Figure.of("rate", "/s", [3], headline="a rate"),
            Figure.of("weight", "MiB", [3], headline="a weight"),
        ),
        result(case="other", absent="install it"),
    )
    names = {"latency.svg", "throughput.svg", "memory.svg", "growth.svg"}
    for folder in ("one", "two"):
        write_report(tmp_path / folder, run, ["slow"])
        there = {each.name for each in (tmp_path / folder).iterdir()}
        assert names | {"report.md"} == there
    report = (tmp_path / "one" / "report.md").read_text()
    for wanted in (*names, "some figure 10", "**missed**", "install it", "slow"):
        assert wanted in report
    for name in names:
        picture = (tmp_path / "one" / name).read_bytes()
        assert (tmp_path / "two" / name).read_bytes() == picture
    assert "some headline" in (tmp_path / "one" / "latency.svg").read_text()


def _none(_: Settings) -> list[Case]:
    return []


def _raise(case: Case, _: Settings) -> Iterator[Figure]:
    if case.label == "absent":
        raise Absent("install it")
    assert case.label == "right"
    yield Figure.of("pid", "", [os.getpid()])


def _count(results: Sequence[Result]) -> Iterator[Figure]:
    yield Figure.of("cases", "", [len(results)])


def test_each_case_has_a_process_and_its_own_end() -> None:
    """Absent, failed and right cases are told apart, and concluded without the first."""
    scenario = Scenario("s", "", frozenset(), _none, _raise, _count)
    absent, failed, right = (
        measure_apart(scenario, Case(label, ()), Settings())
        for label in ("absent", "wrong", "right")
    )
    assert absent.absent == "install it"
    assert "AssertionError" in (failed.failed or "")
    assert right.find("pid") != Figure.of("pid", "", [os.getpid()])
    assert (right.peak_mib or 0) > 1
    concluded = conclude(scenario, [absent, failed, right])
    assert concluded is not None
    assert concluded.find("cases") == Figure.of("cases", "", [1])
    assert conclude(scenario, [absent]) is None


def test_gaps_are_clipped_to_what_is_asked() -> None:
    """The longest stretch counts as far as it lies within."""
    gaps = Gaps()
    gaps.note(0, 10_000_000)
    gaps.note(20_000_000, 21_000_000)
    assert gaps.longest(8_000_000, 30_000_000) == 2.0
    assert gaps.longest(10_000_000, 20_000_000) == 0.0


def test_reader_that_is_denied_is_noticed() -> None:
    """Who asks all the time gets what it must, or it isn't measured."""
    with asked_all_the_time(lambda: True):
        pass
    with pytest.raises(AssertionError), asked_all_the_time(lambda: False):
        pass


async def test_stall_of_a_loop_is_seen() -> None:
    """A tick comes as late as the loop was blocked."""
    async with ticking() as late:
        await asyncio.sleep(0.01)
        sleep(0.05)  # noqa: ASYNC251  (the stall)
        await asyncio.sleep(0.01)
    assert max(late) > 40


def test_contender_that_answers_wrong_is_noticed() -> None:
    """Each pass counts the right answers; who has fewer has no figure."""
    empty = SimpleNamespace(can=lambda *_: None, authenticate=lambda header: header)
    triples = [(None, "key", None)] * 3
    compete([right := Contender("no", ask, empty, triples)], 2)
    assert len(right.samples) == 2
    assert all(each > 0 for each in right.samples)
    with pytest.raises(AssertionError, match="no"):
        Contender("no", ask, empty, [*triples, (None, "key", True)]).run()
    with pytest.raises(AssertionError, match="taken"):
        Contender("taken", authenticate, empty, ["header", None]).run()


def test_what_is_taken_away_is_given_back() -> None:
    """Every kind of revocation has both of its statements, and none goes unused."""
    named = {name.rpartition("_")[0] for name in queries("revocations")}
    assert named == {kind.name for kind in KINDS} | {"other"}
    for name in named:
        assert {f"{name}_taken", f"{name}_given"} <= queries("revocations").keys()


def test_scenarios_are_found_by_name_and_tag() -> None:
    """Names, tags and nothing select, but for what takes long; the unknown is named."""
    assert [each.name for each in find([])] == [n for n in SCENARIOS if n != "soak"]
    assert [each.name for each in find(["soak"])] == ["soak"]
    assert [each.name for each in find(["load", "engine"])] == [
        "can",
        "check",
        "explain",
        "who-can",
        "pauses",
        "load",
    ]
    with pytest.raises(ValueError, match="no scenario or tag `cna`"):
        find(["cna"])


def test_command_prints_and_writes_its_figures(tmp_path: Path) -> None:
    """`python -m bench --quick --json FILE can` runs to its end."""
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "bench", "--quick", "--json", str(path), "can"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "targets met" in done.stdout
    written = read_json(path)
    cases = [each.case for each in written.results]
    assert cases == ["by permissions", "by users", "by groups of the user"]
    for each in written.results:
        assert each.scenario == "can"
        assert (each.peak_mib or 0) > 0
        for figure in each.figures:
            assert 0 < figure.minimum <= figure.median <= figure.maximum
            assert figure.unit in {"ns", "x"}
        targets = [figure.target for figure in each.figures if figure.target]
        assert sorted(targets) == [1.2] * 2 + [2.0] * 4
    assert main(["--compare", str(path), str(path)]) == 0


def test_command_lists_its_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` names every scenario and measures nothing."""
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["cna"], "no scenario or tag `cna`"),
        (["--json", "/no/such/place.json"], "no directory for `/no/such/place.json`"),
        (["--report", "/no/such/place"], "no directory for `/no/such/place`"),
        (["--compare", "/no/such", "/no/such"], "`/no/such` holds no results"),
        (["--catalogue", "/no/such"], "`/no/such` is no role catalogue"),
    ],
)
def test_command_refuses_bad_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong argument is an error of usage, told before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
