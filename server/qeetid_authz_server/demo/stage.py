"""The scenery: a database with the demonstration's tenants, and credentials."""

from dataclasses import dataclass
from importlib.resources import files

from qeetid_authz.document import decode_document
from qeetid_authz.errors import AuthzError
from qeetid_authz.postgres.connecting import connect, describe
from qeetid_authz.postgres.importing import import_document
from qeetid_authz.postgres.issuing import issue_api_key, register_machine
from qeetid_authz.postgres.lookup import DatabaseDirectory, is_empty
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz_server.demo.credentials import DemoIssuer
from qeetid_authz_server.demo.questions import MACHINES, QUESTIONS, TENANT


class DemoError(AuthzError):
    """The demonstration can't run here, or went wrong."""

    code = "demo"


@dataclass(frozen=True, slots=True)
class Stage:
    """A database that is ready for the sidecar.

    Attributes:
        database_url: where it is.
        api_key: of the tenant that is asked about.
        tenant_id: that tenant's id.
        users: the ids of the users that are asked about, by e-mail.
        jwks: the public key of those who issued the tokens, as PEM.
        credentials: `Authorization` headers, by who presents them.
    """

    database_url: str
    api_key: str
    tenant_id: str
    users: dict[str, str]
    jwks: str
    credentials: dict[str, str]


def require_empty(dsn: str) -> None:
    """Return when a database holds nothing that the demonstration could mix with.

    Raises:
        DemoError: it isn't empty.
        DatabaseError: it can't be told.
    """
    with connect(dsn) as connection:
        if not is_empty(connection):
            raise DemoError(
                f"{describe(dsn)} isn't empty, and the demonstration leaves its tenants"
                " behind; give an empty database, or none to have one made"
            )


def set_up(dsn: str) -> Stage:
    """Make the tables, import the tenants, issue a key.

    Raises:
        DatabaseError: the database can't serve.
    """
    migrate(dsn, bootstrap=True)
    text = (files("qeetid_authz_server.demo") / "demo.yaml").read_bytes()
    with connect(dsn) as connection:
        import_document(connection, decode_document(text, format="yaml"))
        directory = DatabaseDirectory(connection)
        (tenant_id,) = directory.tenants(TENANT)
        api_key = issue_api_key(connection, tenant_id, "demonstration")
        users = {each.user: directory.users(each.user)[0] for each in QUESTIONS}
        service, agent = (
            register_machine(connection, kind, tenant_id, name, scopes)
            for kind, name, scopes in MACHINES
        )
    issuer = DemoIssuer()
    user = users[QUESTIONS[1].user]
    return Stage(
        dsn,
        api_key,
        tenant_id,
        users,
        issuer.jwks,
        {
            "user": issuer.user(user, tenant_id),
            "api_key": f"ApiKey {api_key}",
            "service": issuer.service(service, tenant_id),
            "agent": issuer.agent(agent, tenant_id),
            "agent_for_user": issuer.user(user, tenant_id, act={"sub": agent}),
        },
    )
