"""Tokens that are new: their signature alone, their verification, the whole."""

from collections.abc import Iterator
from time import thread_time_ns, time

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bench.figures import Figure
from bench.world import World, uuid
from qeetid_authz.authorizer import Authorizer
from qeetid_authz.credentials.claims import Expectations, read_claims
from qeetid_authz.credentials.tokens import read_token, verify_signature
from qeetid_authz.options import AUDIENCE, ISSUER, MAX_TOKEN_LIFE
from qeetid_authz.principal import Kind

VERIFICATION = 1.5  # times the signature alone


class Verification:
    """Tokens of the user `direct`, verified three ways that take turns at going first.

    By OpenSSL alone, given the key and the bytes; by text, signature and claims; and by
    an authorizer, which does that and more and remembers it.
    """

    def __init__(self, here: World, authorizer: Authorizer) -> None:
        self._key = here.public_key
        self._authorizer = authorizer
        self._expected = Expectations(ISSUER, AUDIENCE, max_life=MAX_TOKEN_LIFE)
        self._samples: dict[str, list[float]] = {}
        self._turn = 0

    def run(self, token: str, session: str | None) -> None:
        """Verify a token that is new to the authorizer."""
        signed, _, _ = token.rpartition(".")
        signature = read_token(token).signature
        numbers = (int.from_bytes(signature[at : at + 32]) for at in (0, 32))
        der, data = encode_dss_signature(*numbers), signed.encode()
        steps = [
            lambda: self._signature(der, data),
            lambda: self._steps(token),
            lambda: self._whole(token, session),
        ]
        self._turn += 1
        for at in range(3):
            steps[(self._turn + at) % 3]()

    def forget(self) -> None:
        """Drop the samples so far, which warmed up."""
        self._samples.clear()

    def figures(self) -> Iterator[Figure]:
        """What the samples come to."""
        alone = self._samples["signature"]
        for name, about, target in (
            ("signature", "signature alone, by OpenSSL", None),
            ("steps", "token verified", VERIFICATION),
            ("whole", "first authentication", None),
        ):
            samples = self._samples[name]
            yield Figure.of(about, "us", [each / 1e3 for each in samples])
            if samples is not alone:
                ratios = [mine / its for mine, its in zip(samples, alone, strict=True)]
                yield Figure.of(f"{about}: ratio", "x", ratios, target)

    def _signature(self, der: bytes, signed: bytes) -> None:
        before = thread_time_ns()
        self._key.verify(der, signed, ECDSA(SHA256()))
        self._note("signature", before)

    def _steps(self, text: str) -> None:
        now = time()
        before = thread_time_ns()
        token = read_token(text)
        verify_signature(token, self._key)
        claims = read_claims(token.payload, self._expected, now)
        self._note("steps", before)
        assert claims.subject.hex() == uuid("direct").replace("-", "")

    def _whole(self, text: str, session: str | None) -> None:
        header = f"Bearer {text}"
        before = thread_time_ns()
        principal = self._authorizer.authenticate(header)
        self._note("whole", before)
        assert (principal.kind, principal.id) == (Kind.USER, uuid("direct"))
        assert session in (None, principal.session_id)

    def _note(self, name: str, before: int) -> None:
        self._samples.setdefault(name, []).append(thread_time_ns() - before)
