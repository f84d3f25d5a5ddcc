"""What is written for the other side is read there as what it was."""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qeetid_authz import Principal
from qeetid_authz.model import Semantics
from qeetid_authz.revision import Revision
from qeetid_authz.sidecar.wire import Judged, Snapshot, Who
from tests.principals import ADDRESSES, random_principal
from tests.properties.test_principals import ASKED, engine_over, randoms
from tests.server.town import ACME, ANN, BOB
from tests.writes import random_tables


@given(randoms)
def test_principals(random: Random) -> None:
    """One of any kind, with any bounds, comes back equal and is the same to an index."""
    for _ in range(20):
        who = random_principal(random)
        written = msgspec.json.encode(Who.of(who))
        read = msgspec.json.decode(written, type=Who).principal()

        assert who == read
        assert who.key == read.key


def test_an_actors_own_bounds_are_left_out() -> None:
    """They never count, so that no chain of actors is written or read."""
    deep = Principal.user(BOB, ACME, actor=Principal.user(ANN, ACME), limit=["x"])
    who = Who.of(Principal.user(ANN, ACME, actor=deep))

    assert Principal.user(BOB, ACME) == who.principal().actor


@settings(max_examples=20)
@given(randoms, st.sampled_from(list(Semantics)))
def test_explanations(random: Random, how: Semantics) -> None:
    """An explanation comes back equal, with its revision and age."""
    engine = engine_over(random_tables(random), how)
    for _ in range(20):
        who, ip = random_principal(random), random.choice(ADDRESSES)
        for key in ASKED:
            said = engine.explain(who, key, ip)._replace(age=0.1 + 0.2)
            written = msgspec.json.encode(Judged.of(said))
            read = msgspec.json.decode(written, type=Judged)

            assert said == read.explanation(who, key, said.revision, said.age)


@pytest.mark.parametrize("running", [(), (8, 9)])
def test_revisions(running: tuple[int, ...]) -> None:
    """A revision comes back equal, those that were still running included."""
    revision = Revision("dcea61704835", 7, 2**62, running)
    written = msgspec.json.encode(Snapshot.of(revision))

    assert revision == msgspec.json.decode(written, type=Snapshot).revision()


@pytest.mark.parametrize(
    "member", ['"limits":[]', '"actor":{"kind":"user","id":"x","limit":[]}']
)
def test_a_bound_that_nobody_knows_is_no_principal(member: str) -> None:
    """Whoever doesn't understand a bound can't heed it."""
    text = f'{{"kind":"user","id":"{ANN}","tenant_id":"{ACME}",{member}}}'

    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(text, type=Who)
