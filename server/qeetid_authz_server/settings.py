"""What the sidecar can be told, and what makes no sense."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from qeetid_authz.credentials.keysources import source_of
from qeetid_authz.errors import DatabaseError
from qeetid_authz.model import Semantics
from qeetid_authz.options import (
    AT_LEAST_TIMEOUT,
    AUDIENCE,
    ISSUER,
    LONGEST_TOKEN_LIFE,
    MAX_STALENESS,
    MAX_TOKEN_LIFE,
    POLL_INTERVAL,
)
from qeetid_authz.postgres.connecting import UNREADABLE, read_dsn
from qeetid_authz_server.authzen.mapping import DEFAULT_PATTERN, KeyPattern
from qeetid_authz_server.hosted.origins import parse_origin
from qeetid_authz_server.listening.addresses import Address, UnixAddress, parse_address
from qeetid_authz_server.publicurls import require_public_url

PREFIX = "QEETID_AUTHZ_"
_COOKIE_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2


class CallerAuth(StrEnum):
    """Whether callers must say who they are."""

    REQUIRED = "required"
    OFF = "off"


class SubjectIds(StrEnum):
    """How AuthZEN's searches call users."""

    UUID = "uuid"
    EMAIL = "email"


class LogLevel(StrEnum):
    """From which weight on an event is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """Everything that can be configured, valid once it exists.

    Attributes:
        database_url: DSN of the Qeet ID database, its primary.
        listen: `host:port`, `[v6]:port` or `unix:/path`; port 0 lets the system
            choose.
        tls_certificate: a PEM file, the certificate that connections are encrypted by
            and what leads from it to its authority; by default they aren't.
        tls_key: a PEM file, its private key, not encrypted.
        plaintext: whether other machines may come unencrypted, as they do where a
            proxy in front ends TLS.
        semantics: `strict` or `mirror`.
        max_staleness: seconds without word from the database after which everything
            is denied and the sidecar isn't ready.
        poll_interval: seconds between two looks at a quiet database.
        jwks: where the public keys of the tokens' issuer are: a URL, a file or PEM; by
            default no tokens are taken.
        issuer: the `iss` that a token must have.
        audience: what must be among its `aud`.
        leeway: seconds by which the issuer's clock may differ.
        max_token_life: seconds that a token of a session may live at most.
        caller_auth: `required`, or `off` where every caller may be trusted.
        batch_limit: checks in one batch, and evaluations in one request, at most.
        public_url: where callers reach the sidecar, `https:`; by default AuthZEN's
            metadata isn't served.
        authzen_key: how an action on a type of resource makes a permission key.
        authzen_instances: whether permissions `{type}:{id}:{action}` count as well.
        authzen_subject_id: whether searches call users by `uuid` or by `email`.
        fast_path: whether plain checks and introspections of known tokens are answered
            before they reach the framework; the answers are the same.
        routes: a file of routes, what proxies in front ask about; by default they
            can't ask.
        cookie: the name of a cookie in which requests that come through a proxy may
            have a token; by default they may not.
        proxy_secret: what a proxy must send to be believed.
        log_level: `debug`, `info`, `warning` or `error`.
        at_least_timeout: seconds that a request waits for what its caller wrote.
        snapshot_dir: a directory to keep what is known in, for a start while the
            database is away; by default nothing is kept.
        snapshot_key: a secret that what is kept is authenticated with.
        drain_timeout: seconds that requests in flight get to finish at the end.
        upstream: base URL of the hosted API, for what isn't answered here; by default
            that is refused.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    database_url: str = Field(repr=False)
    listen: str = "127.0.0.1:4010"
    tls_certificate: str | None = None
    tls_key: str | None = Field(None, validate_default=True)
    plaintext: bool = Field(default=False, validate_default=True)
    semantics: Semantics = Semantics.STRICT
    max_staleness: float = Field(MAX_STALENESS, gt=0, allow_inf_nan=False)
    poll_interval: float = Field(POLL_INTERVAL, gt=0, allow_inf_nan=False)
    jwks: str | None = Field(None, repr=False)
    issuer: str = ISSUER
    audience: str = AUDIENCE
    leeway: float = Field(0.0, ge=0, allow_inf_nan=False)
    max_token_life: float = Field(
        MAX_TOKEN_LIFE, gt=0, le=LONGEST_TOKEN_LIFE, allow_inf_nan=False
    )
    caller_auth: CallerAuth = CallerAuth.REQUIRED
    batch_limit: int = Field(10_000, ge=1)
    public_url: str | None = None
    authzen_key: str = DEFAULT_PATTERN
    authzen_instances: bool = False
    authzen_subject_id: SubjectIds = SubjectIds.UUID
    fast_path: bool = True
    routes: Path | None = None
    cookie: str | None = Field(None, pattern=rf"^{_COOKIE_NAME}$")
    proxy_secret: str | None = Field(
        None, repr=False, min_length=16, pattern=r"^[!-~]+$", validate_default=True
    )
    log_level: LogLevel = LogLevel.INFO
    at_least_timeout: float = Field(AT_LEAST_TIMEOUT, gt=0, allow_inf_nan=False)
    snapshot_dir: Path | None = None
    snapshot_key: str | None = Field(None, repr=False, min_length=16)
    drain_timeout: float = Field(10.0, gt=0, allow_inf_nan=False)
    upstream: str | None = None

    @property
    def address(self) -> Address:
        """`listen`, read."""
        return parse_address(self.listen)

    @field_validator("database_url")
    @classmethod
    def _is_dsn(cls, text: str) -> str:
        try:
            read_dsn(text)
        except DatabaseError:
            raise ValueError(UNREADABLE.removeprefix("the DSN ")) from None
        return text

    @field_validator("listen")
    @classmethod
    def _is_address(cls, text: str) -> str:
        parse_address(text)
        return text

    @field_validator("jwks")
    @classmethod
    def _is_key_source(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                source_of(text)
            except ValueError as error:
                raise ValueError(f"is no source of keys: {error}") from None
        return text

    @field_validator("upstream")
    @classmethod
    def _is_origin(cls, text: str | None) -> str | None:
        if text is not None:
            parse_origin(text)
        return text

    @field_validator("tls_key")
    @classmethod
    def _is_with_certificate(cls, key: str | None, known: ValidationInfo) -> str | None:
        listen, certificate = (
            known.data.get(name, "") for name in ("listen", "tls_certificate")
        )
        if certificate != "" and (key is None) != (certificate is None):
            raise ValueError(
                f"and {PREFIX}TLS_CERTIFICATE go together; give both or neither"
            )
        if key and listen and isinstance(parse_address(listen), UnixAddress):
            raise ValueError("has no use on a Unix socket; leave it out")
        return key

    @field_validator("plaintext")
    @classmethod
    def _is_protected(cls, plaintext: bool, known: ValidationInfo) -> bool:  # noqa: FBT001  (pydantic's)
        listen, key = known.data.get("listen"), known.data.get("tls_key", "")
        if plaintext and key:
            raise ValueError(f"contradicts {PREFIX}TLS_KEY; leave one of them out")
        is_exposed = listen and not parse_address(listen).is_loopback
        if is_exposed and key is None and not plaintext:
            raise ValueError(
                "keeps credentials from travelling unencrypted, and other machines"
                f" come to {PREFIX}LISTEN `{listen}`; give {PREFIX}TLS_CERTIFICATE and"
                f" {PREFIX}TLS_KEY, or say `true` where a proxy in front ends TLS"
            )
        return plaintext

    @field_validator(
        "issuer",
        "audience",
        "tls_certificate",
        "tls_key",
        "routes",
        "cookie",
        "snapshot_dir",
        "public_url",
        "upstream",
        mode="before",
    )
    @classmethod
    def _is_said(cls, text: object) -> object:
        if text == "":
            raise ValueError("must not be empty; leave it out for the default")
        return text

    @field_validator("caller_auth")
    @classmethod
    def _is_guarded(cls, auth: CallerAuth, known: ValidationInfo) -> CallerAuth:
        listen = known.data.get("listen")
        if listen and auth is CallerAuth.OFF and not parse_address(listen).is_loopback:
            raise ValueError(
                f"lets every machine ask on {PREFIX}LISTEN `{listen}`; require"
                " authentication, or listen on a loopback address or a Unix socket"
            )
        return auth

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, text: str | None) -> str | None:
        if text is not None:
            require_public_url(text)
        return text

    @field_validator("authzen_key")
    @classmethod
    def _is_key_pattern(cls, text: str) -> str:
        KeyPattern.parse(text)
        return text

    @field_validator("authzen_instances")
    @classmethod
    def _is_told_apart(cls, has_instances: bool, known: ValidationInfo) -> bool:  # noqa: FBT001  (pydantic's)
        pattern = known.data.get("authzen_key")
        if has_instances and pattern and KeyPattern.parse(pattern).is_of_instances:
            raise ValueError(
                "takes every key of three parts for one of an instance, which those of"
                f" {PREFIX}AUTHZEN_KEY `{pattern}` have, too; let that have fewer colons"
            )
        return has_instances

    @field_validator("proxy_secret")
    @classmethod
    def _is_of_proxies(cls, secret: str | None, known: ValidationInfo) -> str | None:
        listen, routes = known.data.get("listen"), known.data.get("routes")
        is_exposed = listen and not parse_address(listen).is_loopback
        if routes is not None and is_exposed and secret is None:
            raise ValueError(
                "is missing: other machines come to QEETID_AUTHZ_LISTEN"
                f" `{listen}` and could pretend to be the proxy; give 16 characters or"
                " more, or listen on a loopback address or a Unix socket"
            )
        return secret

    @field_validator("poll_interval")
    @classmethod
    def _is_soon_enough(cls, interval: float, known: ValidationInfo) -> float:
        bound = known.data.get("max_staleness")
        if bound is not None and interval >= bound:
            raise ValueError(f"must be less than {PREFIX}MAX_STALENESS `{bound}`")
        return interval

    @field_validator(
        "max_staleness",
        "poll_interval",
        "leeway",
        "max_token_life",
        "batch_limit",
        "at_least_timeout",
        "drain_timeout",
        mode="before",
    )
    @classmethod
    def _is_no_truth(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a number")  # noqa: TRY004  (pydantic knows ValueError)
        return value
