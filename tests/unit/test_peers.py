"""Other products behind one interface, and the load that is put on servers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bench import bench_http, bench_peers, cores
from bench.asked import ALLOWED, DENIED, asking
from bench.bench_peers import TARGET_USERS, Call
from bench.cases import Absent, Scale, Settings
from bench.figures import Figure, Result
from bench.httpload import Address, Exchange, Load, ask, fetch, request
from bench.peers.casbin import CASBIN
from bench.peers.cedar import CEDAR
from bench.peers.cerbos import CERBOS
from bench.peers.hosted import HOSTED
from bench.peers.ours import OURS
from bench.peers.peer import Product
from bench.peers.products import PRODUCTS
from bench.peers.rego import OPA, REGO_CPP
from bench.peers.relations import relations
from bench.questions import Questions, of_many
from bench.servers import CERBOS as CERBOS_SERVER
from bench.servers import FLOOR, ROUTE
from bench.servers import OURS as SIDECAR
from bench.synthesis import Shape, Tenancy, synthesise
from qeetid_authz.ids import format_id

ROOT = Path(__file__).parents[2]
SHAPE = Shape(users=40, groups=20, roles=8, permissions=40, direct_share=0.5)
ASKED = request("GET", "/", {})


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_product_answers_as_the_relations_say_or_is_absent(product: Product) -> None:
    """Every question has the answer of the relations; who isn't here says what to do."""
    tenancy = synthesise(SHAPE, 7)
    questions = of_many(tenancy, 7)
    assert {True, False} == set(questions.answers)
    said = _answers(product, tenancy, questions)
    if isinstance(said, str):
        assert "`make bench-peers` installs it" in said
        assert product not in (OURS, HOSTED)
    else:
        assert questions.answers == said


def _answers(
    product: Product, tenancy: Tenancy, questions: Questions
) -> list[bool] | str:
    """The answers, or why there are none."""
    try:
        with product.open(tenancy) as peer:
            return [
                peer.can(peer.asker(principal), permission)
                for principal, permission in questions.pairs
            ]
    except Absent as absent:
        return str(absent)


@pytest.mark.parametrize(
    ("product", "module"),
    [
        (CASBIN, "casbin"),
        (CEDAR, "cedarpy"),
        (OPA, "opa_bindings"),
        (REGO_CPP, "regopy"),
    ],
)
def test_product_that_is_not_installed_is_absent(
    product: Product, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be imported is absent, with its name and how to get it."""
    monkeypatch.setitem(sys.modules, module, None)
    with (
        pytest.raises(Absent, match=r"can't be imported .*`make bench-peers`"),
        product.open(synthesise(SHAPE, 7)),
    ):
        pass


def test_server_that_is_not_installed_is_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that isn't there is absent, with its path."""
    monkeypatch.setattr("bench.peers.cerbos._NODE_MODULES", tmp_path)
    with (
        pytest.raises(Absent, match=f"there is no `{tmp_path}.*where npm is"),
        CERBOS.open(synthesise(SHAPE, 7)),
    ):
        pass


def test_relations_are_told_whole() -> None:
    """A user's roles as told grant what the generator says the user holds."""
    tenancy = synthesise(SHAPE, 7)
    told = relations(tenancy)
    for at, user in enumerate(tenancy.tenants[0].users):
        roles = told.roles(format_id(user))
        granted = {key for role in roles for key in told.granted[role]}
        assert tenancy.held(at) == granted


def test_wrong_answers_are_not_counted() -> None:
    """Only answers that are the right ones count, however often they are asked for."""
    calls = [Call("anybody", key, answer=key == "held") for key in ("held", "lacked")]

    class Generous:
        def asker(self, principal: object) -> object:
            return principal

        def can(self, _asker: object, _permission: str) -> bool:
            return True

    assert 3 == bench_peers.ask(Generous(), calls, 3)


def test_slow_loader_is_measured_large_in_a_full_run_only() -> None:
    """Minutes of loading are for those who ask for everything."""
    large = {
        scale: {
            case.label
            for case in bench_peers.cases(Settings(scale=scale))
            if case.sizes[1] != TARGET_USERS
        }
        for scale in Scale
    }
    assert set() == large[Scale.QUICK]
    slow = {"pycasbin, 10,000 users", "pycasbin, FastEnforcer, 10,000 users"}
    assert slow == large[Scale.FULL] - large[Scale.USUAL]
    assert len(PRODUCTS) == len(large[Scale.FULL])


def test_products_are_compared_with_ours_by_size() -> None:
    """The ratio is of the best passes; the target is for the one size it was set for."""
    results = [
        _result("peers", f"{name}, {users:,} users", bench_peers.QUESTION, samples)
        for name, samples in ((OURS.name, [0.1, 0.4]), (CASBIN.name, [800.0, 900.0]))
        for users in bench_peers.SHAPES
    ]
    figures = list(bench_peers.conclude(results))
    assert [8_000, 8_000] == [pytest.approx(each.median) for each in figures]
    assert [5_000, None] == [each.target for each in figures]
    assert [True, None] == [each.met for each in figures]
    assert [] == list(bench_peers.conclude(results[2:]))


def test_servers_are_compared_at_equal_connections() -> None:
    """Shares and multiples are of the best windows, and of the least work."""
    rates = {SIDECAR: 90.0, FLOOR: 100.0, ROUTE: 20.0, CERBOS_SERVER: 2.0}
    results = [
        Result(
            scenario="http",
            case=f"{name}, TCP, 16 connections",
            figures=(
                Figure.of(bench_http.REQUESTS, "/s", [rate, rate / 2]),
                Figure.of(bench_http.SPENT, "us", [1 / rate, 2 / rate]),
            ),
        )
        for name, rate in rates.items()
    ]
    figures = list(bench_http.conclude(results))
    assert [0.9, 0.9, 4.5, 4.5, 45, 45] == [
        pytest.approx(each.median) for each in figures
    ]
    assert [0.6, None, 3, None, 30, None] == [each.target for each in figures]


def test_questions_over_http_have_the_answers_of_the_relations() -> None:
    """Checks, batches and what Cerbos is asked agree on who holds what."""
    asked = asking(200, 7)
    granted, told = asked.told.granted, asked.told
    answers = [
        any(each.permission in granted[role] for role in told.roles(each.user))
        for each in asked.questions
    ]
    assert {True, False} == set(answers)
    bodies = [ALLOWED if answer else DENIED for answer in answers]
    assert bodies == [each.answer for each in asked.checks()]
    effects = [b"ALLOW" in each.answer for each in asked.cerbos()]
    assert answers == effects
    batches = list(asked.batches(90))
    assert [90, 90, 20] == [len(each) for _, each in batches]
    assert answers == [answer for _, each in batches for answer in each]


@pytest.fixture(params=["127.0.0.1:0", "unix"])
def constant(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[bytes], Address]]:
    """Starts servers that answer everything alike, over TCP or a Unix socket."""
    listen = request.param if ":" in request.param else f"unix:{tmp_path}/socket"
    file = tmp_path / "response"
    command = [sys.executable, "-m", "bench.httptools_floor", file, listen]
    started = []

    def start(response: bytes) -> Address:
        file.write_bytes(response)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        is_file = said.startswith("unix:")
        return Path(said.removeprefix("unix:")) if is_file else int(said)

    yield start
    for each in started:
        each.terminate()
        each.communicate()


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize("answer", [b"right", b"igh"])
def test_load_counts_the_right_answers(
    constant: Callable[[bytes], Address], answer: bytes
) -> None:
    """Requests, rate and latency are told of answers that are or have what is right."""
    load = Load(constant(_response(b"right")), [Exchange(ASKED, answer)])
    load.verify()
    window = ask(load, 2, 0.2)
    assert window.requests > 2
    assert 0 < window.rate <= window.requests / 0.2
    assert 0 < window.median <= window.p99
    assert 0 < window.busy


@pytest.mark.parametrize(
    "response",
    [_response(b"wrong"), _response(b"right", b"404 Not Found")],
    ids=["body", "status"],
)
def test_load_takes_no_other_answer(
    constant: Callable[[bytes], Address], response: bytes
) -> None:
    """Another body or another status ends the measurement."""
    load = Load(constant(response), [Exchange(ASKED, b"right")])
    with pytest.raises(AssertionError, match="HTTP/1.1"):
        load.verify()
    with pytest.raises(AssertionError, match="HTTP/1.1"):
        ask(load, 2, 0.2)


def test_each_answer_is_held_against_its_own_question(
    constant: Callable[[bytes], Address],
) -> None:
    """The answer to another question is a wrong one."""
    exchanges = [Exchange(ASKED, b"right"), Exchange(ASKED, b"left")]
    with pytest.raises(AssertionError, match="right"):
        Load(constant(_response(b"right")), exchanges).verify()


def test_one_answer_is_fetched_in_two_parts(
    constant: Callable[[bytes], Address],
) -> None:
    """Head and body make up what was sent."""
    sent = _response(b"right")
    head, body = fetch(constant(sent), ASKED)
    assert b"right" == body
    assert sent == head + body


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@pytest.mark.parametrize("clients", [cores.clients, _nothing])
def test_server_has_its_processor_where_clients_keep_off(
    clients: Callable[[], AbstractContextManager[None]],
) -> None:
    """Both sides are apart within, everything is as before after, and by default."""
    everywhere = os.sched_getaffinity(0)
    with clients():
        ours = os.sched_getaffinity(0)
        with cores.server():
            theirs = os.sched_getaffinity(0)
        assert ours == os.sched_getaffinity(0)
    assert everywhere == os.sched_getaffinity(0)
    if clients is cores.clients and cores.ARE_APART:
        assert 1 == len(theirs)
        assert everywhere == ours | theirs
        assert not ours & theirs
    else:
        assert everywhere == ours == theirs


def _result(scenario: str, case: str, name: str, samples: list[float]) -> Result:
    figure = Figure.of(name, "us", samples)
    return Result(scenario=scenario, case=case, figures=(figure,))
