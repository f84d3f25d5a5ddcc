"""Reading, checking and resolving declarative documents."""

import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

import pytest
from jsonschema import Draft202012Validator

from qeetid_authz.document import (
    NAMESPACE,
    Document,
    Format,
    UserEntry,
    decode_document,
    document_schema,
    encode_document,
    read_document,
    resolve,
    snapshot,
)
from qeetid_authz.errors import DocumentError
from qeetid_authz.ids import parse_id
from qeetid_authz.model import Owned
from qeetid_authz.revision import DOCUMENT_REVISION

PUBLISHED = Path(__file__).parents[2] / "docs" / "document.schema.json"
ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"

ACME: dict[str, Any] = {
    "permissions": [{"key": "billing:read", "description": "See invoices"}],
    "users": [
        {"email": "Ann@acme.test"},
        {"email": "bob@acme.test", "id": ONE, "status": "suspended"},
    ],
    "tenants": [
        {
            "slug": "Acme",
            "roles": [
                {"name": "Clerk", "permissions": ["billing:read", "billing:write"]},
                {"name": "Idle"},
            ],
            "groups": [{"name": "Staff", "roles": ["Clerk"], "members": [ONE]}],
            "assignments": [{"user": "ann@ACME.test", "roles": ["Clerk", "Idle"]}],
        }
    ],
}

ACME_YAML = b"""
permissions:
- {key: 'billing:read', description: See invoices}
users:
- email: Ann@acme.test
- {email: bob@acme.test, id: 00000000-0000-0000-0000-000000000001, status: suspended}
tenants:
- slug: Acme
  roles:
  - {name: Clerk, permissions: ['billing:read', 'billing:write']}
  - name: Idle
  groups:
  - {name: Staff, roles: [Clerk], members: [00000000-0000-0000-0000-000000000001]}
  assignments:
  - {user: ann@ACME.test, roles: [Clerk, Idle]}
"""


def derived(text: str) -> bytes:
    """The id that the documentation promises for a kind and a natural key."""
    return uuid5(NAMESPACE, text).bytes


def problems_of(source: dict[str, Any]) -> list[str]:
    """The problems of a document of the right shape."""
    with pytest.raises(DocumentError) as caught:
        resolve(read_document(source))
    return list(caught.value.problems)


def problem_reading(data: bytes, spelling: Format) -> str:
    """The one problem of a document that can't be read."""
    with pytest.raises(DocumentError) as caught:
        decode_document(data, format=spelling)
    (problem,) = caught.value.problems
    return problem


def tenant(**members: Any) -> dict[str, Any]:
    """A document of one user, `ann`, and one tenant."""
    return {"users": [{"email": "ann"}], "tenants": [{"slug": "acme", **members}]}


def test_every_spelling_reads_the_same() -> None:
    """Mappings, JSON and YAML of one content are one document."""
    expected = read_document(ACME)

    assert expected == decode_document(ACME_YAML, format="yaml")
    assert expected == decode_document(json.dumps(ACME).encode(), format="json")
    assert expected == read_document(MappingProxyType(ACME))
    assert expected is read_document(expected)


@pytest.mark.parametrize("spelling", ["json", "yaml"])
def test_encoding_and_decoding_are_inverse(spelling: Format) -> None:
    """What was written reads as what it was, absent members staying absent."""
    document = read_document(ACME)

    written = encode_document(document, format=spelling)

    assert document == decode_document(written, format=spelling)
    assert b"null" not in written


def test_schema_is_published() -> None:
    """The published schema is the one of this version."""
    published = json.loads(PUBLISHED.read_text("utf-8"))

    assert document_schema() == published, "write document_schema() to the file again"


def test_schema_agrees_with_the_reader() -> None:
    """The schema takes what the reader takes, and refuses the same mistakes."""
    validator = Draft202012Validator(document_schema())

    assert validator.is_valid(ACME)
    assert not validator.is_valid({"users": [{"email": ""}]})
    assert not validator.is_valid({"users": [{"email": "a", "name": "b"}]})
    assert not validator.is_valid({"tenants": [{"slug": "a", "status": "invited"}]})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"tenants": [{"slug": "a", "roles": [{"name": "r", "permissions": [1]}]}]},
            "`tenants[0].roles[0].permissions[0]`: expected `str`, got `int`",
        ),
        (
            {"users": [{"email": "a", "status": "gone"}]},
            (
                "`users[0].status`: invalid enum value 'gone', "
                "use one of active, invited, suspended, deleted"
            ),
        ),
        (
            {"tenants": [{"slug": "a", "status": "invited"}]},
            (
                "`tenants[0].status`: invalid enum value 'invited', "
                "use one of active, suspended, deleted"
            ),
        ),
        ({"user": []}, "`document`: object contains unknown field `user`"),
        ({"users": [{}]}, "`users[0]`: object missing required field `email`"),
    ],
)
def test_wrong_shape_names_the_place(source: dict[str, Any], expected: str) -> None:
    """A wrong type, status or member is named with its path."""
    with pytest.raises(DocumentError) as caught:
        read_document(source)

    assert (expected,) == caught.value.problems


@pytest.mark.parametrize(
    ("data", "spelling", "expected"),
    [
        (
            b'{"users": [\n {"email": "a" 1}]}',
            "json",
            "this is no JSON: Expecting ',' delimiter at line 2, column 16",
        ),
        (
            b'{"users": [\n',
            "json",
            "this is no JSON: Expecting value at line 2, column 1",
        ),
        (
            b"users: [a,\n b}",
            "yaml",
            "this is no YAML: did not find expected ',' or ']' at line 2, column 3",
        ),
        (b"users: \xff", "yaml", "byte 7 is no UTF-8; save the file in UTF-8"),
        (
            b"users: \x01",
            "yaml",
            "this is no YAML: unacceptable character #x0001: control characters are not"
            ' allowed in "<unicode string>", position 7',
        ),
        (
            b"users: [{email: a, display_name: 2024-02-30}]",
            "yaml",
            "this is no YAML: a value can't be read, quote it (day is out of range for"
            " month) at line 1, column 34",
        ),
        (
            b"users: []\ntenants:\n- <<: {slug: a}\n",
            "yaml",
            "`<<` in line 3 merges mappings; write them out instead",
        ),
        (
            b'{"users": ' + b"1" * 5_000 + b"}",
            "json",
            "a number has thousands of digits; a document has no numbers",
        ),
        (
            b"? [a]\n: b\n? [a]\n: b\n",
            "yaml",
            "this is no YAML: found unhashable key at line 1, column 3",
        ),
        (
            b'{"users": [{}]}',
            "json",
            "`users[0]`: object missing required field `email`",
        ),
        (b"", "yaml", "`document`: expected `object`, got `null`"),
        (
            b'{"users": [], "users": []}',
            "json",
            "key `users` stands twice in one object; join the two",
        ),
        (
            b"users: []\ntenants: []\nusers: []\n",
            "yaml",
            "key `users` stands twice, again in line 3; join them",
        ),
    ],
)
def test_malformed_text_names_the_line(
    data: bytes, spelling: Format, expected: str
) -> None:
    """A file that is no JSON or YAML is refused with line and column."""
    assert expected == problem_reading(data, spelling)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"&d\ntenants: [*d]\n", "tenants[0]"),
        (
            b"tenants: &t\n- {slug: a, roles: [{name: r, permissions: *t}]}\n",
            "tenants[0].roles[0].permissions",
        ),
    ],
)
def test_cycle_of_references_is_refused(data: bytes, place: str) -> None:
    """An anchor that contains its own alias is named as a cycle."""
    expected = f"`{place}` contains itself, a cycle of references"

    assert problem_reading(data, "yaml").startswith(expected)


def test_shared_anchors_are_no_cycle() -> None:
    """An alias used twice means the same content twice."""
    data = b"""
    tenants:
    - {slug: a, roles: &roles [{name: r}]}
    - {slug: b, roles: *roles}
    """

    first, second = decode_document(data, format="yaml").tenants

    assert first.roles == second.roles


@pytest.mark.parametrize("spelling", ["json", "yaml"])
@pytest.mark.parametrize("depth", [1_000, 200_000])
def test_deep_nesting_is_refused(spelling: Format, depth: int) -> None:
    """A file that nests without need is refused, whatever its depth; no crash."""
    data = b"[" * depth + b"]" * depth

    problem = problem_reading(data, spelling)

    told = ("levels deep", "nesting depth", "expected `object`")  # ours, or a parser's
    assert any(each in problem for each in told)


def test_yaml_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyYAML the remedy is named; JSON needs nothing more."""
    monkeypatch.setitem(sys.modules, "qeetid_authz.document.yaml", None)
    monkeypatch.delattr("qeetid_authz.document.yaml", raising=False)

    assert "pip install pyyaml" in problem_reading(b"{}", "yaml")
    assert decode_document(b"{}", format="json") == Document()


def test_absent_ids_are_derived() -> None:
    """Derived ids are UUIDv5 of kind and natural key, A to Z in lower case."""
    facts = resolve(read_document(ACME))

    assert UUID("fd1b429f-e8d7-59bd-bc47-2ffd6ae100c2") == NAMESPACE
    assert derived("permission:billing:read") == facts.permissions[0].id
    assert [derived("user:ann@acme.test"), parse_id(ONE)] == [u.id for u in facts.users]
    assert [derived("tenant:acme")] == [t.id for t in facts.tenants]
    assert derived("role:acme/clerk") == facts.roles[0].id
    assert [derived("group:acme/Staff")] == [g.id for g in facts.groups]
    assert [u.given for u in facts.users] == [False, True]


def test_references_are_followed() -> None:
    """Users are found by id or e-mail in any case, roles by name, keys by themselves."""
    facts = resolve(read_document(ACME))
    acme, clerk, idle, staff = (
        derived(text)
        for text in (
            "tenant:acme",
            "role:acme/clerk",
            "role:acme/idle",
            "group:acme/Staff",
        )
    )
    ann, bob = derived("user:ann@acme.test"), parse_id(ONE)

    assert [(acme, bob, staff)] == facts.group_members
    assert [(acme, staff, clerk)] == facts.group_roles
    assert [(acme, ann)] == facts.assignments
    assert [(acme, ann, clerk), (acme, ann, idle)] == facts.user_roles
    assert [
        (clerk, derived("permission:billing:read")),
        (clerk, derived("permission:billing:write")),
    ] == facts.role_permissions


def test_id_wins_over_an_email_of_the_same_text() -> None:
    """A reference that is an id means that user, whoever has it as e-mail."""
    users = [{"email": "ann", "id": ONE}, {"email": ONE, "id": TWO}, {"email": TWO}]
    source = tenant(groups=[{"name": "g", "members": [ONE, TWO]}]) | {"users": users}

    facts = resolve(read_document(source))

    assert [parse_id(ONE), parse_id(TWO)] == [
        user for _, user, _ in facts.group_members
    ]


def test_snapshot_packs_the_facts() -> None:
    """The facts of a document are those of a database with the same rows."""
    facts = snapshot(read_document(ACME))
    acme, clerk, staff = (
        derived(text) for text in ("tenant:acme", "role:acme/clerk", "group:acme/Staff")
    )
    ann, idle = derived("user:ann@acme.test"), derived("role:acme/idle")

    assert facts.revision == DOCUMENT_REVISION
    assert {acme: "active"} == facts.tenants
    assert {clerk: Owned(acme, "Clerk"), idle: Owned(acme, "Idle")} == facts.roles
    assert {staff: Owned(acme, "Staff")} == facts.groups
    assert {"billing:read", "billing:write"} == set(facts.permissions.values())
    assert [("active", ann), ("suspended", parse_id(ONE))] == facts.statuses
    assert [(acme, ann + clerk + ann + idle)] == facts.user_roles
    assert [(acme, staff + bytes([0, 0, 0, 1]) + parse_id(ONE))] == facts.group_members
    assert [(acme, staff + clerk)] == facts.group_roles
    assert [(clerk, b"".join(facts.permissions))] == facts.role_permissions


def test_empty_document_has_no_facts() -> None:
    """Nothing named is nothing known."""
    facts = snapshot(Document())

    assert not facts.tenants
    assert not facts.user_roles


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"permissions": [{"key": "a"}, {"key": "a"}]},
            (
                "`permissions[1].key`: `a` is taken by `permissions[0].key`; "
                "keys are unique"
            ),
        ),
        (
            {"tenants": [{"slug": "acme"}, {"slug": "ACME"}]},
            (
                "`tenants[1].slug`: `acme` is taken by `tenants[0].slug`; "
                "slugs are unique whatever their case"
            ),
        ),
        (
            {"users": [{"email": "ann"}, {"email": "Ann", "id": ONE}]},
            (
                "`users[1].email`: `ann` is taken by `users[0].email`; "
                "e-mails are unique whatever their case, but for deleted users"
            ),
        ),
        (
            {"users": [{"email": "ann"}, {"email": "ann", "status": "deleted"}]},
            "`users[1]`: it has the same id as `users[0]`; give it an id of its own",
        ),
        (
            {"users": [{"email": "a", "id": ONE}, {"email": "b", "id": ONE}]},
            "`users[1]`: it has the same id as `users[0]`; ids are unique",
        ),
        (
            tenant(roles=[{"name": "r"}, {"name": "R"}]),
            (
                "`tenants[0].roles[1].name`: `r` is taken by `tenants[0].roles[0].name`; "
                "role names are unique in a tenant whatever their case"
            ),
        ),
        (
            tenant(groups=[{"name": "g"}, {"name": "g"}]),
            (
                "`tenants[0].groups[1]`: it has the same id as `tenants[0].groups[0]`; "
                "give it an id of its own"
            ),
        ),
        (
            tenant(assignments=[{"user": "ann"}, {"user": "ANN"}]),
            (
                "`tenants[0].assignments[1].user`: `ANN` is taken by "
                "`tenants[0].assignments[0].user`; "
                "put all roles of a user in a tenant into one assignment"
            ),
        ),
        (
            tenant(groups=[{"name": "g", "members": ["ann", "Ann"]}]),
            (
                "`tenants[0].groups[0].members[1]`: `Ann` is listed at "
                "`tenants[0].groups[0].members[0]` already"
            ),
        ),
        (
            tenant(roles=[{"name": "r", "permissions": ["a", "b", "a"]}]),
            (
                "`tenants[0].roles[0].permissions[2]`: `a` is listed at "
                "`tenants[0].roles[0].permissions[0]` already"
            ),
        ),
        (
            tenant(
                roles=[{"name": "r"}],
                assignments=[{"user": "ann", "roles": ["r", "r"]}],
            ),
            (
                "`tenants[0].assignments[0].roles[1]`: `r` is listed at "
                "`tenants[0].assignments[0].roles[0]` already"
            ),
        ),
        (
            tenant(id="acme"),
            (
                "`tenants[0].id`: `acme` is no UUID; "
                "write one like 00000000-0000-0000-0000-000000000000"
            ),
        ),
        (
            tenant(
                roles=[{"name": "Clerk"}], groups=[{"name": "g", "roles": ["clerk"]}]
            ),
            (
                "`tenants[0].groups[0].roles[0]`: `acme` has no role `clerk`; "
                "did you mean `Clerk`?"
            ),
        ),
        (
            tenant(
                roles=[{"name": "editor"}], groups=[{"name": "g", "roles": ["editr"]}]
            ),
            (
                "`tenants[0].groups[0].roles[0]`: `acme` has no role `editr`; "
                "did you mean `editor`?"
            ),
        ),
        (
            tenant(groups=[{"name": "g", "roles": ["clerk"]}]),
            "`tenants[0].groups[0].roles[0]`: `acme` has no role `clerk`",
        ),
        (
            tenant(assignments=[{"user": TWO}]),
            (
                f"`tenants[0].assignments[0].user`: no user is `{TWO}`; "
                "list the user under `users`"
            ),
        ),
        (
            tenant(assignments=[{"user": "ann"}])
            | {
                "users": [
                    {"email": "ann"},
                    {"email": "ann", "id": ONE, "status": "deleted"},
                ]
            },
            (
                "`tenants[0].assignments[0].user`: several users are `ann`; "
                "give the id instead"
            ),
        ),
        (
            {"users": [{"email": ""}]},
            "`users[0].email`: it is empty; write at least one character",
        ),
        (
            tenant(roles=[{"name": "r", "permissions": [""]}]),
            (
                "`tenants[0].roles[0].permissions[0]`: it is empty; "
                "write at least one character"
            ),
        ),
        (
            {"users": [{"email": "a\0"}]},
            r"`users[0].email`: no database can store '\x00'; remove it",
        ),
        (
            {"tenants": [{"slug": "a", "name": "\ud800"}]},
            r"`tenants[0].name`: no database can store '\ud800'; remove it",
        ),
    ],
)
def test_contradictions_are_named(source: dict[str, Any], expected: str) -> None:
    """Each rule of a document has its message, with the place and the remedy."""
    assert [expected] == problems_of(source)


def test_all_problems_come_at_once() -> None:
    """One reading tells everything that has to be mended."""
    source = tenant(
        roles=[{"name": ""}],
        groups=[{"name": "g", "roles": ["x"], "members": ["y"]}],
    ) | {"permissions": [{"key": ""}]}

    assert [problem.split("`")[1] for problem in problems_of(source)] == [
        "permissions[0].key",
        "tenants[0].roles[0].name",
        "tenants[0].groups[0].roles[0]",
        "tenants[0].groups[0].members[0]",
    ]


def test_letters_beyond_a_to_z_keep_their_case() -> None:
    """No two databases agree about them, so a document takes them as different."""
    users = (UserEntry(email="É"), UserEntry(email="é"))

    facts = resolve(Document(users=users))

    assert [derived("user:É"), derived("user:é")] == [user.id for user in facts.users]
