"""The benchmark's generator, and that its command runs."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from bench import httpload
from bench.__main__ import main
from bench.bench_revocation import KINDS
from bench.catalogues import OWNER_SHARE, read_catalogue, realistic
from bench.contest import Contender, ask, authenticate, compete
from bench.figures import Figure, Result
from bench.httpload import Request, client
from bench.httpload import ask as ask_over_http
from bench.questions import of_many, of_one
from bench.report import all_met, verdict
from bench.scenarios import SCENARIOS, find
from bench.statements import queries
from bench.synthesis import Shape, facts, synthesise
from qeetid_authz.engine.engine import Engine

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
    assert {len(run) // 32 for _, run in snapshot.group_members} == {50 * 3}
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


def test_missed_target_is_told() -> None:
    """The verdict names what missed its target and by what."""
    kept = Figure.of("kept", "x", [1], target=2)
    missed = Figure.of("missed", "x", [3], target=2)
    results = [Result("can", "some case", 1, (kept, missed, Figure.of("n", "x", [9])))]
    assert not all_met(results)
    assert verdict(results).splitlines() == [
        "1 of 2 targets met",
        "  missed: can some case: missed 3.00 > 2",
    ]
    assert all_met([Result("can", "some case", 1, (kept,))])


def test_figure_summarises_its_samples() -> None:
    """The percentile is one of the samples, and the target is for the median."""
    figure = Figure.of("n", "ns", list(range(200, 0, -1)), target=100)
    assert (figure.minimum, figure.median, figure.p99) == (1, 100.5, 198)
    assert figure.maximum == 200
    assert figure.met is False
    assert Figure.of("n", "ns", [1]).met is None


def test_contender_that_answers_wrong_is_noticed() -> None:
    """Each pass counts the good answers; who has more or fewer has no figure."""
    empty = SimpleNamespace(can=lambda *_: None, authenticate=lambda header: header)
    pairs = [(None, "key")] * 3
    compete([right := Contender("no", ask, empty, pairs, 0)], 2)
    assert len(right.samples) == 2
    assert all(each > 0 for each in right.samples)
    with pytest.raises(AssertionError, match="no"):
        Contender("no", ask, empty, pairs, 1).run()
    with pytest.raises(AssertionError, match="taken"):
        Contender("taken", authenticate, empty, ["header"], 0).run()


def test_what_is_taken_away_is_given_back() -> None:
    """Every kind of revocation has both of its statements, and none goes unused."""
    named = {name.rpartition("_")[0] for name in queries("revocations")}
    assert named == {kind.name for kind in KINDS} | {"other"}
    for name in named:
        assert {f"{name}_taken", f"{name}_given"} <= queries("revocations").keys()


@pytest.fixture
def echo() -> Iterator[Request]:
    """A request that is answered with its own body, with 404 on the path `/none`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(404 if self.path == "/none" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False  # closing waits for them
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Request(server.server_port, "/echo", {"X-Some": "a: b"}, b"hi=1", b"hi=1")
        server.shutdown()
        thread.join()


@pytest.fixture(params=["wrk", "our own client"])
def asking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either client, where it is there at all."""
    if request.param != client():
        monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(httpload, "PATIENCE", 1.0)


@pytest.mark.usefixtures("asking")
def test_load_counts_the_right_answers(echo: Request) -> None:
    """Requests, their rate and their latency are told, all of them answered."""
    window = ask_over_http(echo, 2, 1)
    assert window.requests > 2
    assert 0 < window.rate <= window.requests
    assert 0 < window.median <= window.p99


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize("over", [{"answer": b"ho=1"}, {"path": "/none"}])
def test_load_takes_no_other_answer(echo: Request, over: dict[str, Any]) -> None:
    """Another body or another status ends the measurement."""
    with pytest.raises(AssertionError):
        ask_over_http(echo._replace(**over), 2, 1)


def test_scenarios_are_found_by_name_and_tag() -> None:
    """Names, tags and nothing select; what is unknown is named."""
    assert [each.name for each in find([])] == list(SCENARIOS)
    assert [each.name for each in find(["load", "engine"])] == [
        "can",
        "explain",
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
    written = json.loads(path.read_bytes())
    assert {"python", "machine", "processors", "seed", "scale"} <= written.keys()
    cases = {each["case"] for each in written["results"]}
    assert cases == {"by permissions", "by users"}
    for result in written["results"]:
        assert result["scenario"] == "can"
        assert result["peak_mib"] > 0
        for figure in result["figures"]:
            assert 0 < figure["minimum"] <= figure["median"] <= figure["p99"]
            assert figure["p99"] <= figure["maximum"]
            assert figure["unit"] in {"ns", "x"}
        targets = [each["target"] for each in result["figures"] if each["target"]]
        assert sorted(targets) == [1.3] * 2 + [2.5] * 4


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
