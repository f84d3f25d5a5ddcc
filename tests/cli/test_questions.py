"""The commands that ask: check, explain, permissions, who-can."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.running import DEMO, Cli, write

MARA = "mara@lumen.example"
TOMAS = "tomas@lumen.example"
INES = "ines@lumen.example"
MARA_ID = "c21c6505-57ed-5bb4-aca1-6fa31b6a04e7"
TENANT_ID = "84e3a337-c37a-5a13-8614-5ad2cd1d59ca"
NOBODY = "00000000-0000-0000-0000-000000000000"


def explain(cli: Cli, folder: Path, document: object) -> str:
    """What `explain` prints of user `a`, tenant `t` and permission `p`."""
    facts = write(folder / "facts.json", json.dumps(document))
    return cli("explain", "a", "t", "p", "--facts", facts).out


@pytest.mark.parametrize(
    ("user", "code", "said"),
    [
        (MARA, 0, f"allowed  {MARA} may billing:write in lumen-press\n"),
        (TOMAS, 0, f"allowed  {TOMAS} may billing:write in lumen-press\n"),
        (
            INES,
            1,
            (
                f"denied  {INES} may not billing:write in lumen-press\n"
                "no role grants this permission for this user in this tenant (no_grant)\n"
            ),
        ),
    ],
)
def test_check_answers_from_a_database(
    cli: Cli, demo_database: str, user: str, code: int, said: str
) -> None:
    """The exit code tells a program, the sentence a person."""
    answer = cli("check", user, "lumen-press", "billing:write", dsn=demo_database)

    assert answer == (code, said, "")


def test_check_answers_from_a_document(cli: Cli) -> None:
    """No database is needed to ask a document."""
    answer = cli("check", MARA, "lumen-press", "billing:write", "--facts", DEMO)

    assert (answer.code, answer.err) == (0, "")


def test_check_tells_a_program_all_it_knows(cli: Cli) -> None:
    """A decision has its code and revision, and a denial its sentence."""
    facts = ("lumen-press", "billing:write", "--facts", DEMO, "--json")
    grounds = {"revision": "document@0:0", "age_s": 0.0}

    assert cli("check", MARA, *facts).json == {
        "allowed": True,
        "code": "granted",
        **grounds,
    }
    assert cli("check", INES, *facts).json == {
        "allowed": False,
        "reason": "no role grants this permission for this user in this tenant",
        "code": "no_grant",
        **grounds,
    }


@pytest.mark.parametrize(
    "user",
    [
        MARA_ID,
        MARA_ID.upper(),
        MARA_ID.replace("-", ""),
        f"usr_{MARA_ID}",
        f"urn:uuid:{MARA_ID}",
        MARA,
        MARA.upper(),
    ],
)
@pytest.mark.parametrize("tenant", [TENANT_ID, "lumen-press", "Lumen-PRESS"])
def test_users_and_tenants_go_by_id_and_by_name(
    cli: Cli, user: str, tenant: str
) -> None:
    """An id in any spelling, an e-mail and a slug in any case mean the same."""
    assert cli("check", user, tenant, "billing:write", "--facts", DEMO).code == 0


def test_names_in_a_database_have_no_case(cli: Cli, demo_database: str) -> None:
    """E-mail and slug are unique whatever their case, in the database too."""
    question = (MARA.upper(), "LUMEN-press", "billing:write")

    assert cli("check", *question, dsn=demo_database).code == 0


def test_an_unknown_id_is_denied(cli: Cli) -> None:
    """An id needs no user to be asked about."""
    answer = cli("check", NOBODY, "lumen-press", "billing:write", "--facts", DEMO)

    assert (answer.code, "unknown_user" in answer.out) == (1, True)


@pytest.mark.parametrize(
    ("user", "tenant", "said"),
    [
        (
            "mara",
            "lumen-press",
            "no user has e-mail `mara`; give the e-mail of one, or an id",
        ),
        (
            MARA,
            "lumen",
            "no tenant has slug `lumen`; give the slug of one, or an id",
        ),
    ],
)
def test_an_unknown_name_decides_nothing(
    cli: Cli, demo_database: str, user: str, tenant: str, said: str
) -> None:
    """A misspelt name is no denial, in a document as in a database."""
    expected = (2, "", f"error: {said}\n")
    question = ("check", user, tenant, "billing:write")

    assert cli(*question, dsn=demo_database) == expected
    assert cli(*question, "--facts", DEMO) == expected


def test_an_email_means_the_user_who_is_not_deleted(
    cli: Cli, demo_database: str
) -> None:
    """Deleted users may share an e-mail; then only ids tell them apart."""
    with psycopg.connect(demo_database) as connection:
        connection.execute(
            'UPDATE "user".users SET deleted_at = now() WHERE email = %s', [MARA]
        )
        connection.execute(
            'INSERT INTO "user".users (id, email, deleted_at) VALUES (%s, %s, now())',
            [NOBODY, MARA],
        )
    question = ("check", MARA, "lumen-press", "billing:write")
    between_the_dead = cli(*question, dsn=demo_database)
    with psycopg.connect(demo_database) as connection:
        connection.execute('INSERT INTO "user".users (email) VALUES (%s)', [MARA])
    with_a_living = cli(*question, dsn=demo_database)

    assert between_the_dead.code == 2
    assert f"give the id of one: {NOBODY}, {MARA_ID}" in between_the_dead.err
    assert (with_a_living.code, "no_grant" in with_a_living.out) == (1, True)


def test_explain_draws_every_grant_path(cli: Cli, tmp_path: Path) -> None:
    """Direct roles first, then each group with the roles it carries."""
    document = {
        "users": [{"email": "a"}],
        "tenants": [
            {
                "slug": "t",
                "roles": [{"name": name, "permissions": ["p"]} for name in "XYZ"],
                "groups": [
                    {"name": "G", "roles": ["Y", "Z"], "members": ["a"]},
                    {"name": "H", "roles": ["Y"], "members": ["a"]},
                ],
                "assignments": [{"user": "a", "roles": ["X"]}],
            }
        ],
    }
    answer = explain(cli, tmp_path, document)

    assert answer == (
        "allowed  a may p in t\n"
        "a\n"
        "├── role X\n"
        "│   └── p\n"
        "├── group G\n"
        "│   ├── role Y\n"
        "│   │   └── p\n"
        "│   └── role Z\n"
        "│       └── p\n"
        "└── group H\n"
        "    └── role Y\n"
        "        └── p\n"
    )


def test_explain_says_what_would_be_enough(cli: Cli) -> None:
    """On a denial: the roles that carry the permission, and their groups."""
    answer = cli("explain", INES, "lumen-press", "billing:read", "--facts", DEMO)

    assert answer == (
        1,
        (
            f"denied  {INES} may not billing:read in lumen-press\n"
            "no role grants this permission for this user in this tenant (no_grant)\n"
            "any of these would be enough:\n"
            "├── role Accountant\n"
            "│   └── through group Finance\n"
            "└── role Auditor\n"
            "    └── through group Finance\n"
        ),
        "",
    )


def test_explain_says_that_nothing_would_be_enough(cli: Cli) -> None:
    """A permission of other tenants is carried by no role of this one."""
    answer = cli("explain", INES, "lumen-press", "bikes:unlock", "--facts", DEMO)

    assert answer.out.endswith("no role of this tenant carries this permission\n")


def test_explain_names_the_user_of_an_id(cli: Cli, demo_database: str) -> None:
    """A person reads e-mails, whatever was typed."""
    question = (MARA_ID, TENANT_ID, "billing:write")
    answer = cli("explain", *question, dsn=demo_database)

    assert answer.out.splitlines()[1] == MARA


def test_explain_tells_a_program_what_the_sidecar_tells(cli: Cli) -> None:
    """The body is that of `GET /v1/check?explain=true`."""
    question = (TOMAS, "lumen-press", "billing:write", "--facts", DEMO, "--json")
    body = cli("explain", *question).json
    (path,) = body["paths"]

    assert list(body) == ["allowed", "paths", "code", "revision", "age_s"]
    assert list(path) == ["permission", "granted_by", "via", "group_id", "role_id"]
    assert (path["granted_by"], path["via"]) == ("role:Accountant", "group:Finance")


def test_names_can_not_command_the_terminal(cli: Cli, tmp_path: Path) -> None:
    """Control characters and rich's markup come out as they were written."""
    role = "[red]\x1b]0;owned\x07\u202e"
    document = {
        "users": [{"email": "a"}],
        "tenants": [
            {
                "slug": "t",
                "roles": [{"name": role, "permissions": ["p"]}],
                "assignments": [{"user": "a", "roles": [role]}],
            }
        ],
    }

    assert r"role [red]\x1b]0;owned\x07\u202e" in explain(cli, tmp_path, document)


@pytest.mark.parametrize(("semantics", "code"), [("strict", 1), ("mirror", 0)])
def test_semantics_can_be_chosen(cli: Cli, semantics: str, code: int) -> None:
    """A suspended user may act only in the mirror of the hosted server."""
    question = ("viktor@lumen.example", "lumen-press", "manuscripts:publish")
    answer = cli("check", *question, "--facts", DEMO, "--semantics", semantics)

    assert answer.code == code


def test_semantics_are_a_setting_too(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A flag wins over the environment, the environment over the file."""
    viktor = ("viktor@lumen.example", "lumen-press", "manuscripts:publish")
    question = ("check", *viktor, "--facts", DEMO)
    config = write(tmp_path / "config.toml", 'semantics = "mirror"\n')
    by_file = cli(*question, "--config", config).code
    monkeypatch.setenv("QEETID_AUTHZ_SEMANTICS", "strict")
    by_environment = cli(*question, "--config", config).code
    by_flag = cli(*question, "--config", config, "--semantics", "mirror").code

    assert (by_file, by_environment, by_flag) == (0, 1, 0)


def test_permissions_are_listed_a_line_each(cli: Cli, demo_database: str) -> None:
    """What groups carry is in the list; a suspended user has none."""
    mara = cli("permissions", MARA, "lumen-press", dsn=demo_database)
    viktor = cli(
        "permissions", "viktor@lumen.example", "lumen-press", "--facts", DEMO, "--json"
    )

    assert mara.out.split() == [
        "audit-log:read",
        "backups:restore",
        "billing:read",
        "billing:write",
        "orders:read",
        "secrets:read",
    ]
    assert viktor == (0, '{"permissions":[]}\n', "")


def test_who_can_is_complete(cli: Cli, demo_database: str) -> None:
    """More users than are looked up at once all come out, each with its e-mail."""
    with psycopg.connect(demo_database) as connection:
        connection.execute(
            "WITH added AS (INSERT INTO \"user\".users (email) SELECT n || '@crowd'"
            " FROM generate_series(1, 2500) AS n RETURNING id)"
            " INSERT INTO rbac.user_roles (user_id, tenant_id, role_id)"
            " SELECT added.id, %s, roles.id FROM added, rbac.roles"
            " WHERE roles.tenant_id = %s AND roles.name = 'Accountant'",
            [TENANT_ID, TENANT_ID],
        )
    lines = cli("who-can", "lumen-press", "billing:write", dsn=demo_database).out
    found = [line.split() for line in lines.splitlines()]

    assert len(found) == 2502
    assert found == sorted(found)
    assert {email for _, email in found} == {
        *(f"{n}@crowd" for n in range(1, 2501)),
        MARA,
        TOMAS,
    }


def test_who_can_tells_a_program_a_line_each(cli: Cli) -> None:
    """Each line is an object of its own."""
    lines = cli("who-can", "lumen-press", "billing:write", "--facts", DEMO, "--json")
    found = [json.loads(line) for line in lines.out.splitlines()]

    assert {each["email"] for each in found} == {MARA, TOMAS}
    assert MARA_ID in {each["user_id"] for each in found}


ROBOT, HELPER = (
    "5b3c1f0e-1d2a-4c3b-8e4f-0123456789ab",
    "5b3c1f0e-1d2a-4c3b-8e4f-0123456789ac",
)


@pytest.fixture
def machines_database(demo_database: str) -> str:
    """The demonstration's tenants, with a service principal and an agent."""
    with psycopg.connect(demo_database) as connection:
        for table, id_ in (("service_principals", ROBOT), ("agents", HELPER)):
            connection.execute(
                f"INSERT INTO auth.{table} (id, tenant_id, name, secret_hash, scopes)"
                " VALUES (%s, %s, 'm', 'x', '{billing:write}')".encode(),
                [id_, TENANT_ID],
            )
    return demo_database


@pytest.mark.parametrize("machine", [ROBOT, HELPER])
def test_machines_are_asked_about_by_id(
    cli: Cli, machines_database: str, machine: str
) -> None:
    """The id of a service principal or an agent goes where a user's goes."""
    asked = (machine, "lumen-press", "billing:write")

    check = cli("check", *asked, dsn=machines_database)
    explained = cli("explain", *asked, dsn=machines_database)
    body = cli("explain", *asked, "--json", dsn=machines_database).json
    listed = cli("permissions", machine, "lumen-press", dsn=machines_database)
    in_mirror = cli("check", *asked, "--semantics", "mirror", dsn=machines_database)

    assert (check.code, check.err) == (0, "")
    assert explained.out == (
        f"allowed  {machine} may billing:write in lumen-press\n"
        f"{machine}\n"
        "└── scope billing:write\n"
        "    └── billing:write\n"
    )
    assert [list(path) for path in body["paths"]] == [
        ["permission", "granted_by", "via"]
    ]
    assert listed.out == "billing:write\n"
    assert in_mirror.code == 1


def test_a_machine_that_may_not_act(cli: Cli, machines_database: str) -> None:
    """A suspended agent is denied as such, and isn't among those who can."""
    with psycopg.connect(machines_database) as connection:
        connection.execute("UPDATE auth.agents SET status = 'suspended'")
    answer = cli("check", HELPER, "lumen-press", "billing:write", dsn=machines_database)
    lines = cli("who-can", "lumen-press", "billing:write", dsn=machines_database).out

    assert (answer.code, "(agent_inactive)" in answer.out) == (1, True)
    assert ROBOT in lines
    assert HELPER not in lines


def test_who_can_lists_machines_by_id(cli: Cli, machines_database: str) -> None:
    """Who has no e-mail is shown by id alone, to a program with null."""
    asked = ("who-can", "lumen-press", "billing:write")
    lines = cli(*asked, dsn=machines_database).out.splitlines()
    objects = cli(*asked, "--json", dsn=machines_database).out.splitlines()

    assert {ROBOT, HELPER} <= set(lines)
    assert {f"{MARA_ID}  {MARA}"} <= set(lines)
    for machine in (ROBOT, HELPER):
        assert f'{{"user_id":"{machine}","email":null}}' in objects
