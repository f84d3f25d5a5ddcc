"""The keyring against a real key endpoint that rotates, stalls, breaks and returns."""

import asyncio
import ipaddress
import json
import logging
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from qeetid_authz.credentials import keyfetch, keyring
from qeetid_authz.credentials.keyfetch import Exchange
from qeetid_authz.credentials.keyring import (
    MAX_AGE,
    REFRESH_INTERVAL,
    UNKNOWN_KEY_INTERVAL,
    Keyring,
)
from qeetid_authz.errors import KeySetError, KeysUnavailableError, NotOpenError
from tests.integration.following import eventually
from tests.issuer import Issuer, SigningKey
from tests.keyserver import PATIENCE, Answer, KeyServer

LIMIT = 1 << 20  # bytes

BROKEN = {
    "500": (Answer(status=500), "answered 500"),
    "404": (Answer(status=404), "answered 404"),
    "204": (Answer(status=204), "answered 204"),
    "redirect": (
        Answer(status=302, headers={"Location": "/elsewhere"}),
        "answered with a redirect (302), which isn't followed",
    ),
    "not modified": (Answer(status=304), "answered 304"),
    "HTML": (Answer(b"<html>Sign in</html>"), "gives nothing of use: "),
    "truncated JSON": (Answer(b'{"keys":[{"kty":"EC"'), "gives nothing of use: "),
    "broken off": (Answer(b'{"keys":[', announced=1000), "broke off its answer"),
    "nothing": (Answer(), "gives nothing of use: "),
    "no keys": (Answer(b'{"keys":[]}'), "gives nothing of use: "),
    "5 MB": (Answer(b" " * (5 << 20)), "holds more than 1048576 bytes"),
    "gibberish in the header": (
        Answer(headers={f"X-{number}": "a" for number in range(200)}),
        "doesn't speak HTTP (HTTPException)",
    ),
}


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, ring: Keyring, seconds: float) -> None:
        """Let time pass, and the keyring's thread see it."""
        self.now += seconds
        with ring._turn:
            ring._turn.notify_all()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy the environment names, it isn't for loopback."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def server(issuer: Issuer) -> Iterator[KeyServer]:
    """A key endpoint that serves the issuer's keys."""
    with KeyServer() as server:
        server.serve(issuer.as_jwks())
        yield server


@contextmanager
def started(source: str | os.PathLike[str], **options: Any) -> Iterator[Keyring]:
    """A keyring whose first attempt is over."""
    with closing(Keyring(source, **options)) as ring:
        wait(ring.start())
        yield ring


def wait(future: Future[None] | None) -> None:
    """Wait for a load."""
    assert future is not None, "no load is due"
    future.result(PATIENCE)


def reload(ring: Keyring) -> None:
    """Load now, whenever the next load is due."""
    with ring._turn:
        future = ring._call_for_load(ring._clock())
    wait(future)


def has(ring: Keyring, kid: str) -> bool:
    """Whether a key of that name serves."""
    return ring.key(kid) is not None


def pause(ring: Keyring) -> float:
    """Seconds from now until the next load."""
    return ring._due - ring._clock()


def fetches() -> list[threading.Thread]:
    """Requests that are still under way."""
    return [each for each in threading.enumerate() if each.name.endswith("-fetch")]


def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for loopback that nobody knows, and a server's use of it."""
    key = SigningKey().private
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keys")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, SHA256())
    )
    pem = Encoding.PEM
    file = tmp_path / "certificate.pem"
    file.write_bytes(signed.public_bytes(pem))
    private = tmp_path / "private.pem"
    private.write_bytes(key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return file, context


# What it is made of


@pytest.mark.parametrize("source", [None, 7, b"/keys.json", ["/keys.json"]])
def test_a_source_is_text_or_a_path(source: Any) -> None:
    """Anything else is a mistake of the program."""
    with pytest.raises(TypeError, match=r"^keys come from a URL, PEM or a path, not"):
        Keyring(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "  ",
        "ftp://keys.example/jwks.json",
        "file:///etc/keys.json",
        "http://",
        "http:///keys.json",
        "http://keys.example:port/",
        "http://keys.example:99999/",
        "http://[::1/",
        "http://keys.example/a b",
        "http://keys.example/schlüssel",
        '{"keys":[]}',
        '"-----BEGIN PUBLIC KEY-----',
        "keys\n.json",
    ],
)
def test_nonsense_is_refused_at_once(source: str) -> None:
    """What can't be a source isn't tried first."""
    with pytest.raises(ValueError, match=r"^(keys come|the URL of|a key endpoint)"):
        Keyring(source)


@pytest.mark.parametrize(
    "source",
    [
        "http://ann:hunter22@keys.example:port/",
        "https://ann:hunter22@[::1/",
        "https://ann:hunter 22@keys.example/",
        "ftp://ann:hunter22@keys.example/",
        '{"keys":[{"d":"hunter22"}]}',
        " -----BEGIN PRIVATE KEY-----\nhunter22",
    ],
)
def test_refusing_a_source_gives_no_secret_away(source: str) -> None:
    """The message says what is wrong without a password or key in it."""
    with pytest.raises(ValueError, match="key") as refused:
        Keyring(source)

    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize("age", [0, -1, float("nan")])
def test_an_age_is_more_than_nothing(age: float) -> None:
    """Otherwise no key would ever serve."""
    with pytest.raises(ValueError, match="must be more than 0 seconds"):
        Keyring("/keys.json", max_age=age)


def test_nothing_is_asked_before_it_starts(server: KeyServer) -> None:
    """Making a keyring does no I/O, and it says that nothing is loaded."""
    with closing(Keyring(server.url)) as ring:
        assert ring.refresh_for("any").done()
        assert (None, None, None) == (ring.keys, ring.age, ring.last_error)
        with pytest.raises(KeysUnavailableError, match="no attempt to load them has"):
            ring.key("any")
    assert [] == server.requests


def test_a_keyring_starts_once(server: KeyServer) -> None:
    """Neither a second time nor after it was closed."""
    with started(server.url) as ring, pytest.raises(NotOpenError):
        ring.start()
    with pytest.raises(NotOpenError):
        ring.start()


def test_a_closed_keyring_gives_out_no_key(server: KeyServer, issuer: Issuer) -> None:
    """Closing, once or twice, ends its thread and its answers."""
    with started(server.url) as ring:
        thread = ring._thread
        ring.close()
        ring.close()

        assert thread is not None
        assert not thread.is_alive()
        assert ring.keys is None
        assert ring.refresh_for("any").done()
        with pytest.raises(KeysUnavailableError, match="the keyring is closed"):
            ring.key(issuer.keys[0].kid)


# Where keys come from


def test_keys_come_from_an_endpoint(server: KeyServer, issuer: Issuer) -> None:
    """It asks once, as RFC 9110 has it, and knows the keys by name."""
    issuer.rotate()
    server.serve(issuer.as_jwks())

    with started(server.url) as ring:
        for key in issuer.keys:
            assert key.public == ring.key(key.kid)
        assert ring.key("unheard-of") is None
        assert ring.keys is not None
        assert {key.kid for key in issuer.keys} == set(ring.keys.keys)

    (asked,) = server.requests
    assert ("GET", "/.well-known/jwks.json") == (asked.method, asked.path)
    assert "application/json" == asked.headers["Accept"]
    assert not asked.headers.keys() & {"Authorization", "Cookie"}


def test_a_query_is_asked_for_and_not_shown(server: KeyServer) -> None:
    """A query may hold a secret as well."""
    server.answer = Answer(status=500)

    with started(server.url + "?code=hunter22#top") as ring:
        assert f"the key endpoint `{server.url}` answered 500" == str(ring.last_error)
    assert server.requests[0].path.endswith("jwks.json?code=hunter22")


def test_the_credentials_of_a_url_are_sent_and_not_shown(
    server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """They go as Basic ones, percent-decoded, and into no message or log."""
    server.answer = Answer(status=401)
    url = server.url.replace("127", "ann:hunter%4022@127", 1)

    with started(url) as ring, pytest.raises(KeysUnavailableError) as refused:
        ring.key("any")

    assert "Basic YW5uOmh1bnRlckAyMg==" == server.requests[0].headers["Authorization"]
    assert f"`{server.url}` answered 401" in str(refused.value)
    assert "401" in caplog.text
    for text in (str(refused.value), str(ring.last_error), caplog.text):
        assert not any(each in text for each in ("ann", "hunter", "YW5u"))


def test_keys_come_as_pem(issuer: Issuer) -> None:
    """Given as text, several in a row."""
    issuer.rotate()
    text = b"".join(key.pem for key in issuer.keys).decode()

    with started(text) as ring:
        for key in issuer.keys:
            assert key.public == ring.key(key.kid)


@pytest.mark.parametrize("write", [Issuer.as_jwks, lambda issuer: issuer.keys[0].pem])
@pytest.mark.parametrize("given", [str, Path])
def test_keys_come_from_a_file(
    write: Callable[[Issuer], bytes],
    given: Callable[[Path], str | Path],
    issuer: Issuer,
    tmp_path: Path,
) -> None:
    """A JWKS or PEM, by a path in either form."""
    (tmp_path / "keys").write_bytes(write(issuer))

    with started(given(tmp_path / "keys")) as ring:
        assert issuer.keys[0].public == ring.key(issuer.keys[0].kid)


def test_a_file_that_was_replaced_is_read_again(
    issuer: Issuer, tmp_path: Path, clock: Clock
) -> None:
    """On the same beat as an endpoint is asked."""
    file, new = tmp_path / "keys.json", tmp_path / "new.json"
    file.write_bytes(issuer.as_jwks())
    with started(file, clock=clock) as ring:
        key = issuer.rotate()
        new.write_bytes(issuer.as_jwks())
        new.replace(file)
        assert ring.key(key.kid) is None

        clock.advance(ring, REFRESH_INTERVAL)

        eventually(lambda: ring.key(key.kid) == key.public)


def test_a_file_that_cant_be_read_says_why(tmp_path: Path) -> None:
    """One that is missing, too large, a directory or a pipe, on which to read blocks."""
    large, pipe = tmp_path / "large", tmp_path / "pipe"
    large.write_bytes(b" " * (LIMIT + 1))
    os.mkfifo(pipe)
    expected = {
        tmp_path / "none": "can't be read: No such file or directory",
        large: "holds more than 1048576 bytes",
        tmp_path: "is no regular file",
        pipe: "is no regular file",
    }

    for path, why in expected.items():
        with started(path) as ring:
            assert f"the key file `{path}` {why}" == str(ring.last_error)


def test_a_proxy_of_the_environment_is_asked(
    server: KeyServer, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is by everything else in the process."""
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/.well-known/jwks.json"))

    with started("http://keys.invalid/jwks") as ring:
        assert issuer.keys[0].public == ring.key(issuer.keys[0].kid)
    assert "http://keys.invalid/jwks" == server.requests[0].path


def test_an_unknown_kind_of_proxy_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither ignored nor a reason to stop trying."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")

    with started("http://keys.invalid/jwks") as ring:
        assert "can't be reached: unknown url type: socks5" in str(ring.last_error)


def test_keys_come_over_tls_from_who_is_known(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that nobody vouches for is refused, even where others aren't."""
    file, context = certificate(tmp_path)
    monkeypatch.setattr(
        ssl, "_create_default_https_context", ssl._create_unverified_context
    )
    with KeyServer(context) as server:
        server.serve(issuer.as_jwks())
        with started(server.url) as ring:
            assert "CERTIFICATE_VERIFY_FAILED" in str(ring.last_error)
            assert [] == server.requests

        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with started(server.url) as ring:
            assert issuer.keys[0].public == ring.key(issuer.keys[0].kid)


# What goes wrong


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_at_the_start_is_told(
    case: str, server: KeyServer, issuer: Issuer
) -> None:
    """No key is given out, the message says why, and a good answer mends it."""
    server.answer, why = BROKEN[case]
    with started(server.url) as ring:
        with pytest.raises(KeysUnavailableError) as refused:
            ring.key(issuer.keys[0].kid)
        expected = f"the issuer's keys aren't known: the key endpoint `{server.url}` "
        assert str(refused.value).startswith(expected + why)
        assert (None, None) == (ring.keys, ring.age)

        server.serve(issuer.as_jwks())
        reload(ring)

        assert issuer.keys[0].public == ring.key(issuer.keys[0].kid)
        assert ring.last_error is None


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_never_replaces_good_keys(
    case: str, server: KeyServer, issuer: Issuer
) -> None:
    """The last good set serves on, and the failure is told."""
    with started(server.url) as ring:
        good = ring.keys
        server.answer, why = BROKEN[case]

        reload(ring)

        assert good is ring.keys
        assert issuer.keys[0].public == ring.key(issuer.keys[0].kid)
        assert why in str(ring.last_error)
        assert isinstance(ring.last_error, KeySetError | KeysUnavailableError)
        assert 0 == ring.generation


def test_a_host_that_cant_be_looked_up_is_told() -> None:
    """Its name may be none that the system can even ask for."""
    with started(f"http://{'a' * 64}.invalid/") as ring:
        assert "can't be read (Unicode" in str(ring.last_error)


def test_a_request_that_was_cut_is_never_sent(server: KeyServer) -> None:
    """Also where nobody waited any more before it was connected."""
    exchange = Exchange(Request(server.url), "it")
    exchange.cut()
    exchange._run()

    with pytest.raises(KeysUnavailableError, match=r"^it isn't waited for any more$"):
        exchange.result()
    eventually(lambda: not fetches())
    assert [] == server.requests


def test_a_redirect_leads_nowhere(server: KeyServer) -> None:
    """Neither elsewhere nor on the same host, however good the keys there are."""
    with KeyServer() as target:
        target.serve(Issuer().as_jwks())
        for status in (301, 302, 303, 307, 308):
            server.answer = Answer(status=status, headers={"Location": target.url})
            with started(server.url) as ring:
                assert f"a redirect ({status})" in str(ring.last_error)
                assert target.url not in str(ring.last_error)

        assert [] == target.requests
    assert 5 == len(server.requests)


def test_an_endpoint_that_is_down_at_the_start_may_come(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """Whoever opens waits for one attempt only; later ones mend it."""
    server.stop()
    with started(server.url, clock=clock) as ring:
        with pytest.raises(KeysUnavailableError, match="can't be reached: .*refused"):
            ring.key(issuer.keys[0].kid)

        server.start()
        clock.advance(ring, pause(ring))

        eventually(lambda: ring.keys is not None)
        assert issuer.keys[0].public == ring.key(issuer.keys[0].kid)


def test_an_endpoint_that_goes_away_is_outlived_for_a_time(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """Its keys serve until they are too old, then none is given out until it returns."""
    kid = issuer.keys[0].kid
    with started(server.url, clock=clock) as ring:
        good = ring.keys
        server.stop()
        reload(ring)
        clock.now += MAX_AGE
        assert MAX_AGE == ring.age
        assert issuer.keys[0].public == ring.key(kid)
        assert good is ring.keys

        clock.now += 0.001
        with pytest.raises(
            KeysUnavailableError, match=r"more than 3600 s old: the key"
        ):
            ring.key(kid)
        assert ring.keys is None

        server.start()
        reload(ring)
        assert issuer.keys[0].public == ring.key(kid)
        assert 0 == ring.age


def test_an_age_counts_from_before_the_load(server: KeyServer, clock: Clock) -> None:
    """What was served a while ago may be no longer true."""
    with closing(Keyring(server.url, clock=clock)) as ring:
        with server.stalled():
            first = ring.start()
            server.wait_for_requests(1)
            clock.now += 3
        wait(first)

        assert 3 == ring.age


def test_attempts_grow_rarer_while_they_fail(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """From a second to a minute, each a little different; success starts over."""
    server.answer = Answer(status=500)
    with started(server.url, clock=clock) as ring:
        pauses = [pause(ring)]
        for _ in range(9):
            clock.now += pauses[-1]
            reload(ring)
            pauses.append(pause(ring))

        for doubled, each in zip(
            (1, 2, 4, 8, 16, 32, 60, 60, 60, 60), pauses, strict=True
        ):
            assert max(1, doubled / 2) <= each <= doubled
        assert len(set(pauses[1:])) == 9

        server.serve(issuer.as_jwks())
        reload(ring)
        server.answer = Answer(status=500)
        reload(ring)
        assert 1 == pause(ring)


@pytest.mark.parametrize("trickles", ["headers", "body", "nothing"])
def test_an_answer_has_a_deadline_as_a_whole(
    trickles: str, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that always says a little more, and its thread ends too."""
    monkeypatch.setattr(keyfetch, "DEADLINE", 0.2)
    server.answer = Answer(b"{", announced=10**9, trickles=trickles)
    if trickles == "nothing":
        server._released.clear()

    with started(server.url) as ring:
        assert str(ring.last_error).endswith("didn't answer within 0.2 s")
        ring.close()
        eventually(lambda: not fetches())


def test_closing_doesnt_wait_for_an_endpoint(
    server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread, the request's and those who wait are let go of while it stalls."""
    with closing(Keyring(server.url)) as ring, server.stalled():
        first = ring.start()
        server.wait_for_requests(1)

        ring.close()

        assert first.done()
        assert ring._thread is not None
        assert not ring._thread.is_alive()
        eventually(lambda: not fetches())
        assert "the keyring is closed" == str(ring.last_error)
    assert "" == caplog.text


def test_an_answer_after_closing_changes_nothing(server: KeyServer) -> None:
    """A load that ends too late, well or badly, is as if it had never been."""
    with started(server.url) as ring:
        keys = ring.keys
        ring.close()
        assert keys is not None

        assert 0 == ring._publish(keys, None)
        assert 0 == ring._note_failure(KeysUnavailableError("too late"))

        assert ring.keys is None
        assert "the keyring is closed" == str(ring.last_error)
        with pytest.raises(KeysUnavailableError, match="isn't asked any more"):
            ring._source.read()


def test_what_nobody_foresaw_is_a_failure_like_others(
    server: KeyServer, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on, and the text, which isn't ours, isn't repeated."""

    def broken(_: bytes) -> None:
        raise LookupError("hunter22")

    with started(server.url) as ring:
        with monkeypatch.context() as patch:
            patch.setattr(keyring, "parse_key_set", broken)
            reload(ring)
        assert str(ring.last_error).endswith("can't be read (LookupError)")
        assert isinstance(ring.last_error, KeysUnavailableError)

        reload(ring)
        assert ring.last_error is None


# Keys that aren't known


def test_a_thousand_unknown_keys_cause_one_request(
    server: KeyServer, clock: Clock
) -> None:
    """However many threads ask, and for however many names."""
    with started(server.url, clock=clock) as ring:
        clock.now += UNKNOWN_KEY_INTERVAL

        def ask(number: int) -> bool:
            future = ring.refresh_for(f"unheard-of {number}")
            if future is not None:
                wait(future)
            return future is not None

        with ThreadPoolExecutor(1000) as pool:
            waited = pool.map(ask, range(1000))
            server.wait_for_requests(2)
            clock.advance(ring, UNKNOWN_KEY_INTERVAL)
            assert all(waited)

    assert len(server.requests) <= 3


def test_who_asks_during_a_load_waits_for_that_one(
    server: KeyServer, clock: Clock
) -> None:
    """One load at a time, whether it is the first or the beat's."""
    with closing(Keyring(server.url, clock=clock)) as ring:
        with server.stalled():
            first = ring.start()
            server.wait_for_requests(1)
            assert all(ring.refresh_for(f"{number}") is first for number in range(1000))
            assert not first.done()
        wait(first)

        with server.stalled():
            clock.advance(ring, REFRESH_INTERVAL)
            server.wait_for_requests(2)
            second = ring.refresh_for("unheard-of")
            assert second is not None
            assert second is ring.refresh_for("another")
            assert not second.done()
        wait(second)
        clock.now += UNKNOWN_KEY_INTERVAL
        wait(ring.refresh_for("unheard-of"))  # the beat's load wasn't for its sake
    assert 3 == len(server.requests)


def test_unknown_keys_cause_a_request_at_most_every_two_seconds(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """Whoever asks in between waits for the next, which finds what came by then."""
    with started(server.url, clock=clock) as ring:
        clock.now += UNKNOWN_KEY_INTERVAL
        server.answer = Answer(status=500)
        wait(ring.refresh_for("unheard-of"))
        clock.now += 0.5
        waiting = ring.refresh_for("unheard-of")

        assert waiting is ring.refresh_for("another")
        assert UNKNOWN_KEY_INTERVAL - 0.5 == pause(ring)
        assert 2 == len(server.requests)

        key = issuer.rotate()
        server.serve(issuer.as_jwks())
        clock.advance(ring, UNKNOWN_KEY_INTERVAL - 0.5)
        wait(waiting)
        assert key.public == ring.key(key.kid)
    assert 3 == len(server.requests)


def test_a_key_that_came_in_the_meantime_is_worth_asking_for(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """Who looked before a load and asks after it is sent to look again."""
    with started(server.url, clock=clock) as ring:
        key = issuer.rotate()
        assert ring.key(key.kid) is None
        server.serve(issuer.as_jwks())
        clock.now += UNKNOWN_KEY_INTERVAL
        wait(ring.refresh_for("another"))

        future = ring.refresh_for(key.kid)

        assert future is not None
        assert future.done()
    assert 2 == len(server.requests)


def test_rotation_with_overlapping_keys_loses_no_token(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """Whoever waits for the load that an unknown key causes finds every key served."""
    with started(server.url, clock=clock) as ring:
        for _ in range(20):
            clock.now += 10
            issuer.rotate()
            issuer.keys = issuer.keys[-3:]
            server.serve(issuer.as_jwks())

            for key in reversed(issuer.keys):  # the newest tokens come first
                if ring.key(key.kid) is None:
                    wait(ring.refresh_for(key.kid))
                assert key.public == ring.key(key.kid)
    assert 21 == len(server.requests)


def test_a_key_that_is_gone_verifies_nothing(server: KeyServer, issuer: Issuer) -> None:
    """After the next load; none is kept that the issuer doesn't serve."""
    with started(server.url) as ring:
        (old,) = issuer.keys
        issuer.rotate()
        issuer.keys.remove(old)
        server.serve(issuer.as_jwks())
        reload(ring)

        assert ring.key(old.kid) is None


def test_a_generation_ends_where_a_key_is_lost(
    server: KeyServer, issuer: Issuer
) -> None:
    """Not where one joins, or where all stay: then what was verified still holds."""
    with started(server.url) as ring:
        generations = [ring.generation]

        def serve(*keys: Any) -> None:
            server.serve(json.dumps({"keys": keys}).encode())
            reload(ring)
            generations.append(ring.generation)

        first, second = SigningKey(), SigningKey()
        serve(first.jwk)  # the one from the start is gone
        serve(first.jwk)
        serve(second.jwk, first.jwk)
        serve(first.jwk, second.jwk)
        serve({**second.jwk, "kid": first.kid}, second.jwk)  # differs
        serve(second.jwk)  # gone
        server.answer = Answer(status=500)
        reload(ring)
        generations.append(ring.generation)

        assert [0, 1, 1, 1, 1, 2, 3, 3] == generations


def test_a_key_lost_while_none_served_ends_a_generation(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """What keys too old to serve had verified is forgotten with them all the same."""
    with started(server.url, clock=clock) as ring:
        clock.now += MAX_AGE + 1
        issuer.rotate()
        del issuer.keys[0]
        server.serve(issuer.as_jwks())
        reload(ring)

        assert 1 == ring.generation


async def test_a_waiting_task_that_gives_up_takes_nobody_along(
    server: KeyServer,
) -> None:
    """Tasks wait for a load as threads do, and one's cancellation is its own."""
    with closing(Keyring(server.url)) as ring:
        with server.stalled():
            first = ring.start()
            task = asyncio.create_task(_await(first))
            other = asyncio.create_task(_await(first))
            await asyncio.to_thread(server.wait_for_requests, 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            assert not first.done()
        await other
        assert ring.keys is not None


async def _await(future: Future[None]) -> None:
    await asyncio.wrap_future(future)


# The beat, and what is told


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        (None, 300),
        ("", 300),
        ("public", 300),
        ("max-age=600", 600),
        ("public, MAX-AGE=600 , must-revalidate", 600),
        ('max-age="600"', 600),
        ("max-age=30", 30),
        ("max-age=29", 30),
        ("max-age=0", 30),
        ("max-age=1800", 1800),
        ("max-age=3601", 3600),
        ("max-age=" + "9" * 5000, 3600),
        ("max-age=-5", 300),
        ("max-age=soon", 300),
        ("max-age=²", 300),
        ("max-age", 300),
        ("no-store", 30),
        ("no-cache, max-age=600", 30),
        ("s-maxage=600", 300),
    ],
)
def test_the_beat_is_what_the_endpoint_says_within_bounds(
    cache_control: str | None, seconds: float, server: KeyServer, clock: Clock
) -> None:
    """Five minutes unless it says otherwise."""
    headers = {} if cache_control is None else {"Cache-Control": cache_control}
    server.answer = Answer(server.answer.body, headers=headers)

    with started(server.url, clock=clock, max_age=10_000) as ring:
        assert ring.last_error is None
        assert seconds == pause(ring)


@pytest.mark.parametrize(
    ("max_age", "seconds"), [(3600, 1800), (300, 150), (10, 5), (1, 1)]
)
def test_keys_are_looked_at_again_before_they_are_too_old(
    max_age: float, seconds: float, server: KeyServer, clock: Clock
) -> None:
    """At half their age at the latest, however long the endpoint says they keep."""
    headers = {"Cache-Control": "max-age=3600"}
    server.answer = Answer(server.answer.body, headers=headers)

    with started(server.url, clock=clock, max_age=max_age) as ring:
        assert seconds == pause(ring)


def test_keys_are_loaded_on_the_beat(
    server: KeyServer, issuer: Issuer, clock: Clock
) -> None:
    """Without anybody's asking, again and again."""
    with started(server.url, clock=clock) as ring:
        for number in range(2, 5):
            key = issuer.rotate()
            server.serve(issuer.as_jwks())
            clock.advance(ring, REFRESH_INTERVAL)
            server.wait_for_requests(number)
            eventually(partial(has, ring, key.kid))
            assert 0 == ring.age
    assert 4 == len(server.requests)


def test_a_failure_is_told_once_and_so_is_its_end(
    server: KeyServer, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not with every attempt; another failure is told as well."""
    caplog.set_level(logging.INFO, "qeetid_authz")
    with started(server.url) as ring:
        for status in (500, 500, 404, 404):
            server.answer = Answer(status=status)
            reload(ring)
        server.serve(issuer.as_jwks())
        reload(ring)
        reload(ring)

    name = f"the key endpoint `{server.url}`"
    assert [
        ("WARNING", f"keys can't be loaded: {name} answered 500"),
        ("WARNING", f"keys can't be loaded: {name} answered 404"),
        ("INFO", f"{name} serves again"),
    ] == [(each.levelname, each.getMessage()) for each in caplog.records]
    assert "keys_unavailable" == caplog.records[0].__dict__["code"]
    assert {"ok": 3, "failed": 4} == ring.loads


def test_keys_left_out_are_told_once_and_the_good_ones_serve(
    server: KeyServer, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Broken, duplicate and foreign keys do no harm to others, in whatever order."""
    caplog.set_level(logging.INFO, "qeetid_authz")
    (good,) = issuer.keys
    one, other = SigningKey(), SigningKey()
    bad = [
        {"kty": "oct", "kid": "secret", "k": "hunter22"},
        {"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"},
        {**one.jwk, "y": one.jwk["x"]},
        {**one.jwk, "x": one.jwk["x"][:-2], "kid": "short"},
        {**one.jwk, "kid": "twice"},
        {**other.jwk, "kid": "twice"},
    ]

    def serve(*keys: Any) -> None:
        server.serve(json.dumps({"keys": keys}).encode())
        reload(ring)
        assert good.public == ring.key(good.kid)
        assert ring.keys is not None
        assert {good.kid} == set(ring.keys.keys)
        assert ring.last_error is None

    with started(server.url) as ring:
        serve(*bad, good.jwk)
        serve(*bad, good.jwk)
        serve(good.jwk, *reversed(bad))
        serve(good.jwk)
        serve(good.jwk, bad[0])

    told = [each.getMessage() for each in caplog.records]
    assert 2 == len(told), told
    name = f"keys of the key endpoint `{server.url}` are left out:"
    assert told[0].startswith(f"{name} key 1 must have `kty` EC; key 2 ")
    assert told[0].endswith("; and 1 more")  # thousands would fill the log
    assert f"{name} key 2 must have `kty` EC" == told[1]
    assert "hunter" not in caplog.text
