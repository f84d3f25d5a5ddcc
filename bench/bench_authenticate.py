"""What it costs to tell for whom a credential stands, and to ask about a bounded one."""

from collections.abc import Iterator
from time import perf_counter, thread_time_ns

from bench.cases import Case, Scenario, Settings
from bench.contest import Contender, Empty, ask, authenticate, compete
from bench.figures import Figure
from bench.verification import Verification
from bench.world import API_KEY, PROBE, SECRET, TENANT, World, uuid, world
from qeetid_authz.authorizer import Authorizer
from qeetid_authz.credentials.hashes import verify_secret
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.errors import BadSignatureError, UnknownApiKeyError
from qeetid_authz.principal import Kind, Principal

API_KEY_AGAIN = 3.0  # us
BOUNDED = 1.1  # times a plain user
TOKENS = 500
PASSES = 200
CALLS = 100  # in a pass, times the rounds of a contest
USERS = 1_000
TOKEN, KEY, BOUNDS = "token", "API key", "limit and delegation"
HASH_COST = "$argon2id$v=19$m=19456,t=2,p=1$"


def cases(_: Settings) -> list[Case]:
    """By credential, and the decision about what comes of it."""
    return [Case(label, (USERS,)) for label in (TOKEN, KEY, BOUNDS)]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Measure one of them in a world of its own."""
    measures = {TOKEN: _tokens, KEY: _api_key, BOUNDS: _bounds}
    with world(*case.sizes) as here, here.open() as authorizer:
        yield from measures[case.label](here, authorizer, settings)


def _tokens(
    here: World, authorizer: Authorizer, settings: Settings
) -> Iterator[Figure]:
    sessions = [uuid(f"session{at}") for at in range(settings.repeats(TOKENS))]
    tokens = [here.user_token("direct", sid=each) for each in sessions]
    _refuse_altered(authorizer, tokens[0])
    yield from _verify(here, authorizer, dict(zip(tokens, sessions, strict=True)))
    headers = [f"Bearer {token}" for token in tokens]
    yield from _repeat(authorizer, headers, settings)
    _refuse_altered(authorizer, tokens[0])


def _refuse_altered(authorizer: Authorizer, token: str) -> None:
    """Make sure that signatures are looked at: the first digit of one is changed."""
    head, _, signature = token.rpartition(".")
    other = "B" if signature[0] == "A" else "A"
    try:
        authorizer.authenticate(f"Bearer {head}.{other}{signature[1:]}")
    except BadSignatureError:
        return
    raise AssertionError("an altered token was taken")


def _verify(
    here: World, authorizer: Authorizer, tokens: dict[str, str]
) -> Iterator[Figure]:
    """Verify each token, which must then be of its session."""
    contest = Verification(here, authorizer)
    for _ in range(20):  # to warm up
        contest.run(here.user_token("direct"), None)
    contest.forget()
    for token, session in tokens.items():
        contest.run(token, session)
    yield from contest.figures()


def _repeat(
    authorizer: Authorizer, headers: list[str], settings: Settings
) -> Iterator[Figure]:
    principals = [authorizer.authenticate(header) for header in headers]
    for principal in principals:
        assert authorizer.can(principal, PROBE)
    alone, question = headers[:1] * CALLS, [(principals[0], PROBE, True)] * CALLS
    empty = Contender("empty call", authenticate, Empty(), alone)
    can = Contender("can", ask, authorizer, question)
    one = Contender("one token again", authenticate, authorizer, alone)
    many = Contender(
        f"{len(headers)} tokens in turn", authenticate, authorizer, headers
    )
    contenders = [empty, can, one, many]
    compete(contenders, settings.repeats(PASSES))
    for each in contenders:
        yield Figure.of(each.label, "ns", each.samples)
    for other in (empty, can):
        ratios = one.ratios(other)
        yield Figure.of(f"{one.label}: ratio to {other.label}", "x", ratios)


def _api_key(
    here: World, authorizer: Authorizer, settings: Settings
) -> Iterator[Figure]:
    assert here.secret_hash.startswith(HASH_COST)
    yield Figure.of("Argon2id alone", "ms", _hash(here, settings.repeats(50)))
    before = perf_counter()
    principal = authorizer.authenticate(API_KEY)
    first = (perf_counter() - before) * 1e3
    assert (principal.kind, principal.id) == (Kind.API_KEY, uuid("key"))
    assert authorizer.can(principal, PROBE)
    _refuse_wrong_key(authorizer)
    keys = [API_KEY] * CALLS
    empty = Contender("empty call", authenticate, Empty(), keys)
    again = Contender("API key again", authenticate, authorizer, keys)
    compete([empty, again], settings.repeats(PASSES))
    _refuse_wrong_key(authorizer)
    yield Figure.of("first authentication", "ms", [first])
    micros = [each / 1e3 for each in again.samples]
    yield Figure.of(again.label, "us", micros, API_KEY_AGAIN)
    yield Figure.of(empty.label, "ns", empty.samples)
    yield Figure.of(f"{again.label}: ratio to empty call", "x", again.ratios(empty))


def _hash(here: World, repeats: int) -> list[float]:
    samples = []
    for _ in range(repeats):
        before = thread_time_ns()
        belongs = verify_secret(here.secret_hash, SECRET)
        samples.append((thread_time_ns() - before) / 1e6)
        assert belongs
    return samples


def _refuse_wrong_key(authorizer: Authorizer) -> None:
    try:
        authorizer.authenticate(f"{API_KEY}x")
    except UnknownApiKeyError:
        return
    raise AssertionError("a wrong API key was taken")


def _bounds(
    here: World, authorizer: Authorizer, settings: Settings
) -> Iterator[Figure]:
    """Ask about a user, the same within scopes, and the same through an agent.

    The user holds twenty keys, of which scopes and agent have the first ten. Of each
    one half of the questions is allowed; the others it lacks for its own reason.
    """
    keys = [f"resource{7 * at}:read" for at in range(1, 21)]
    inside, outside = keys[:10], keys[10:]
    nobodys = [f"resource{7 * at + 1}:read" for at in range(1, 11)]
    tokens = {
        "token of a session": (
            here.user_token("holder"),
            nobodys,
            Reason.NO_GRANT,
        ),
        "token with scopes": (
            here.user_token("holder", scope=" ".join(inside)),
            outside,
            Reason.OUT_OF_SCOPE,
        ),
        "token of an agent for a user": (
            here.user_token("holder", act={"sub": uuid("agent")}),
            outside,
            Reason.ACTOR_LACKS,
        ),
    }
    user = Principal.user(uuid("holder"), TENANT)
    contenders = [_contender("user", authorizer, user, inside, nobodys)]
    for label, (token, lacked, reason) in tokens.items():
        principal = authorizer.authenticate(f"Bearer {token}")
        assert {authorizer.check(principal, key).reason for key in lacked} == {reason}
        contenders.append(_contender(label, authorizer, principal, inside, lacked))
    compete(contenders, settings.repeats(PASSES))
    plain, *bounded = contenders
    yield Figure.of(plain.label, "ns", plain.samples)
    for each in bounded:
        yield Figure.of(each.label, "ns", each.samples)
        ratios = each.ratios(plain)
        yield Figure.of(f"{each.label}: ratio", "x", ratios, BOUNDED)


def _contender(
    label: str,
    authorizer: Authorizer,
    principal: Principal,
    held: list[str],
    lacked: list[str],
) -> Contender:
    for key in held + lacked:
        assert authorizer.can(principal, key) is (key in held), (label, key)
    triples = [(principal, key, key in held) for key in held + lacked]
    return Contender(label, ask, authorizer, triples * 5)


SCENARIO = Scenario(
    "authenticate",
    "a credential to its principal, for the first time and again",
    frozenset({"credentials", "targets"}),
    cases,
    measure,
)
