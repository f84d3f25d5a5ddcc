"""Searches, by facts 1.4 and 1.7 and the level search-core of 1.8."""

import json
from typing import Any

import psycopg
import pytest

from tests.server.authzen.asking import evaluate, pages, post, search, told
from tests.server.authzen.town import (
    BINDER,
    CRAWLER,
    EDITOR,
    GUEST,
    KEY_OF_NOBODY,
    READERS,
    STRANGER,
    build,
    email,
)
from tests.server.bearers import Office
from tests.server.sidecars import eventually, request, sidecar
from tests.server.town import ACME, ACME_KEY, ANN, BOB, OTHER, OTHER_KEY, add_key

READ, WRITE = {"name": "read"}, {"name": "write"}
BOOK = {"type": "book", "id": "7"}
BOOKS = {"type": "book"}
USERS = {"type": "user"}
WHO_READS = {"subject": USERS, "action": READ, "resource": BOOK}
SEARCHES: dict[str, dict[str, Any]] = {
    "subject": WHO_READS,
    "action": {"subject": {"type": "user", "id": EDITOR}, "resource": BOOK},
    "resource": {
        "subject": {"type": "user", "id": EDITOR},
        "action": READ,
        "resource": BOOKS,
    },
}
EXTRAS = {"x": [1], "page": {"x": 1, "properties": {"y": 2}}, "context": {"z": None}}


def user(id_: str) -> dict[str, str]:
    return {"type": "user", "id": id_}


def ids(results: list[Any]) -> list[str]:
    return [each["id"] for each in results]


def test_subjects(library: str) -> None:
    """Whoever may, through groups and by instances, in the order of their ids."""
    assert sorted([*READERS, EDITOR, GUEST]) == ids(
        search(library, "subject", **WHO_READS)
    )
    assert [EDITOR] == ids(search(library, "subject", **WHO_READS | {"action": WRITE}))
    assert sorted([EDITOR, GUEST]) == ids(
        search(
            library,
            "subject",
            **WHO_READS | {"action": WRITE, "resource": {**BOOK, "id": "8"}},
        )
    )


@pytest.mark.parametrize(
    ("type_", "action", "id_", "found"),
    [
        ("service", "write", "1", [BINDER]),
        ("service", "read", "1", []),
        ("agent", "read", "1", [CRAWLER]),
        ("agent", "write", "1", []),
        ("api_key", "read", "8", [KEY_OF_NOBODY]),
        ("api_key", "read", "7", []),
    ],
)
def test_m13_subjects_are_of_the_type_sought(
    library: str, type_: str, action: str, id_: str, found: list[str]
) -> None:
    """Machines and API keys by what they are registered for and what roles grant."""
    assert [{"type": type_, "id": each} for each in found] == search(
        library,
        "subject",
        subject={"type": type_},
        action={"name": action},
        resource={"type": "book", "id": id_},
    )


def test_actions(library: str) -> None:
    """What one may do to a thing, by its type and by itself."""
    for who, id_, names in (
        (EDITOR, "7", ["read", "write"]),
        (READERS[0], "8", ["read"]),
        (GUEST, "7", ["read"]),
        (GUEST, "8", ["write"]),
        (GUEST, "9", []),
        (STRANGER, "7", []),
    ):
        assert [{"name": name} for name in names] == search(
            library, "action", subject=user(who), resource={"type": "book", "id": id_}
        )


def test_actions_on_permissions_are_all_keys(library: str) -> None:
    """As `permission` is the type whose actions are keys, verbatim."""
    assert [{"name": "book:7:read"}, {"name": "book:8:write"}] == search(
        library,
        "action",
        subject=user(GUEST),
        resource={"type": "permission", "id": "x"},
    )


def test_resources(library: str) -> None:
    """Those that keys of the tenant's roles name; another tenant's aren't told."""
    for who, action, found in (
        (EDITOR, READ, ["7", "8"]),
        (GUEST, READ, ["7"]),
        (GUEST, WRITE, ["8"]),
        (STRANGER, READ, []),
    ):
        assert [{"type": "book", "id": id_} for id_ in found] == search(
            library, "resource", subject=user(who), action=action, resource=BOOKS
        )
    # An API key brings an id that no role names.
    assert ["8"] == ids(
        search(
            library,
            "resource",
            subject={"type": "api_key", "id": KEY_OF_NOBODY},
            action=READ,
            resource=BOOKS,
        )
    )


def test_s5_they_say_what_evaluations_say(library: str) -> None:
    """Asked for everybody, every action and every book, one by one."""
    people = [*READERS, EDITOR, GUEST, STRANGER]
    books = ["7", "8"]
    permitted = {
        (who, name, id_)
        for who in people
        for name in ("read", "write")
        for id_ in books
        if evaluate(
            library,
            {
                "subject": user(who),
                "action": {"name": name},
                "resource": {**BOOK, "id": id_},
            },
        )
    }

    assert permitted == {
        (who, name, id_)
        for name in ("read", "write")
        for id_ in books
        for who in ids(
            search(
                library,
                "subject",
                subject=USERS,
                action={"name": name},
                resource={**BOOK, "id": id_},
            )
        )
    }
    assert permitted == {
        (who, each["name"], id_)
        for who in people
        for id_ in books
        for each in search(
            library, "action", subject=user(who), resource={**BOOK, "id": id_}
        )
    }
    assert permitted == {
        (who, name, id_)
        for who in people
        for name in ("read", "write")
        for id_ in ids(
            search(
                library,
                "resource",
                subject=user(who),
                action={"name": name},
                resource=BOOKS,
            )
        )
    }


@pytest.mark.parametrize("id_", ["nobody", "", READERS[0], None, 1, {}])
def test_m11_the_id_that_is_sought_is_ignored(library: str, id_: Any) -> None:
    """Whatever it is."""
    for what, entity in (("subject", USERS), ("resource", BOOKS)):
        body = SEARCHES[what]
        assert search(library, what, **body) == search(
            library, what, **body | {what: {**entity, "id": id_}}
        )


@pytest.mark.parametrize("what", SEARCHES)
def test_m4_what_must_be_there_is_there(library: str, what: str) -> None:
    """A 400 for each entity that is missing, empty or ill-typed."""
    body = SEARCHES[what]
    wrong: list[Any] = [None, {}, [], {"type": 1}, {"name": []}]
    for entity in body:
        rest = {name: it for name, it in body.items() if name != entity}
        for given in [rest, *({**rest, entity: it} for it in wrong)]:
            assert 400 == post(library, f"search/{what}", given).status, given


def test_m4_entities_that_are_given_have_their_ids(library: str) -> None:
    """Of a subject and a resource that aren't sought."""
    for what, entity in (
        ("subject", "resource"),
        ("action", "subject"),
        ("action", "resource"),
        ("resource", "subject"),
    ):
        body = SEARCHES[what] | {entity: {"type": "user"}}
        assert 400 == post(library, f"search/{what}", body).status


@pytest.mark.parametrize("what", SEARCHES)
def test_m5_unknown_members_are_ignored(library: str, what: str) -> None:
    """In the body, the page and the context; so are properties."""
    body = SEARCHES[what]
    entities = {k: v | {"properties": {"a": 1}, "y": 2} for k, v in body.items()}

    assert search(library, what, **body) == search(library, what, **entities, **EXTRAS)


@pytest.mark.parametrize(
    ("what", "over"),
    [
        ("subject", {"subject": {"type": "robot"}}),
        ("subject", {"action": {"name": "burn"}}),
        ("subject", {"resource": {"type": "stone", "id": "1"}}),
        ("action", {"subject": user("nobody")}),
        ("action", {"subject": user("nobody@x.test")}),
        ("action", {"subject": {"type": "robot", "id": EDITOR}}),
        ("action", {"resource": {"type": "stone", "id": "1"}}),
        ("resource", {"subject": user("nobody")}),
        ("resource", {"subject": {"type": "agent", "id": EDITOR}}),
        ("resource", {"action": {"name": "burn"}}),
        ("resource", {"resource": {"type": "stone"}}),
        ("resource", {"resource": {"type": "permission"}}),
    ],
)
def test_what_is_unknown_finds_nothing(library: str, what: str, over: Any) -> None:
    """A 200 with no results, never a 404."""
    assert [] == search(library, what, **SEARCHES[what] | over)


@pytest.mark.parametrize("what", SEARCHES)
def test_callers_search_their_own_tenant(library: str, what: str) -> None:
    """And name no other."""
    path, body = f"/{ACME}/access/v1/search/{what}", SEARCHES[what]

    assert told(post(library, path, body)) == told(
        post(library, f"search/{what}", body)
    )
    assert 403 == post(library, path, body, key=OTHER_KEY).status
    assert 401 == post(library, path, body, key=None).status
    assert [] == told(post(library, f"search/{what}", body, key=OTHER_KEY))["results"]


@pytest.mark.parametrize("what", SEARCHES)
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 8, 9, 10, 10_000, 2**53 - 1])
def test_m12_pages_are_the_whole(library: str, what: str, limit: int) -> None:
    """As many as asked for on each but the last, which has an empty token."""
    whole = search(library, what, **SEARCHES[what])
    found = list(pages(library, what, limit, **SEARCHES[what]))

    assert whole == [each for page in found for each in page]
    assert all(limit == len(page) for page in found[:-1])
    assert 0 < len(found[-1]) <= limit


def test_m12_pages_of_none(library: str) -> None:
    """Legal; who follows the token without a limit gets everything."""
    whole = search(library, "subject", **WHO_READS)

    assert [[], whole] == list(pages(library, "subject", 0, **WHO_READS))


@pytest.mark.parametrize("what", SEARCHES)
def test_m17_pages_have_no_members_of_ours(library: str, what: str) -> None:
    """So no capability needs to be declared, and none is."""
    asked = SEARCHES[what] | {"page": {"limit": 1, "sort": "id", "properties": {}}}
    metadata = request(library, "/.well-known/authzen-configuration")

    assert {"next_token"} == set(told(post(library, f"search/{what}", asked))["page"])
    assert "capabilities" not in told(metadata)


@pytest.mark.parametrize("what", SEARCHES)
def test_m12_s7_page_comes_first(library: str, what: str) -> None:
    """With a token where there is more; without a request for pages there is none."""
    body = SEARCHES[what]
    partial = told(post(library, f"search/{what}", body | {"page": {"limit": 1}}))
    whole = told(post(library, f"search/{what}", body | {"page": {}}))

    assert ["page", "results"] == list(partial) == list(whole)
    assert partial["page"]["next_token"]
    assert {"next_token": ""} == whole["page"]
    assert ["results"] == list(told(post(library, f"search/{what}", body)))


@pytest.mark.parametrize(
    "page",
    [
        1,
        [],
        "x",
        {"limit": -1},
        {"limit": "1"},
        {"limit": 1.5},
        {"limit": True},
        {"limit": 2**53},
        {"token": 1},
    ],
)
def test_m4_a_page_is_well_typed(library: str, page: Any) -> None:
    """A 400 otherwise."""
    assert 400 == post(library, "search/subject", WHO_READS | {"page": page}).status


def a_token(
    base_url: str, what: str = "subject", key: str = ACME_KEY, **over: Any
) -> str:
    """The token of a second page."""
    body = SEARCHES[what] | {"page": {"limit": 1}} | over
    token = told(post(base_url, f"search/{what}", body, key=key))["page"]["next_token"]
    assert isinstance(token, str)
    return token


def refused(base_url: str, token: str, what: str = "subject", **over: Any) -> bool:
    """Whether a token is refused with a 400."""
    body = SEARCHES[what] | {"page": {"token": token}} | over
    return post(base_url, f"search/{what}", body).status == 400


@pytest.mark.parametrize(
    "over",
    [
        {"action": WRITE},
        {"action": READ | {"properties": {"x": 1}}},
        {"resource": BOOK | {"id": "8"}},
        {"resource": BOOK | {"type": "page"}},
        {"subject": {"type": "agent"}},
        {"subject": USERS | {"properties": {"x": 1}}},
        {"context": {"client_ip": "192.0.2.1"}},
    ],
)
def test_s6_a_token_is_for_the_same_question(library: str, over: Any) -> None:
    """A 400 for another; the order of members and an ignored id make none."""
    token = a_token(library)

    assert refused(library, token, **over)
    assert not refused(
        library,
        token,
        subject={"id": "x", **USERS},
        action=dict(reversed(READ.items())),
        resource=dict(reversed(BOOK.items())),
    )


def test_s6_and_for_the_same_limit(library: str) -> None:
    """A 400 for another; none is fine."""
    token = a_token(library)

    for limit, is_refused in ((1, False), (None, False), (2, True), (0, True)):
        page = {"token": token, "limit": limit}
        assert is_refused is refused(library, token, page=page)


def test_s6_and_for_the_same_search(library: str) -> None:
    """A 400 at another endpoint, though the question were the same."""
    question: dict[str, Any] = {
        "subject": user(EDITOR),
        "action": READ,
        "resource": BOOK,
    }
    token = a_token(library, "action", **question)

    assert not refused(library, token, "action", **question)
    assert refused(library, token, "subject", **question)
    assert refused(library, token, "resource", **question)


def test_s6_and_for_the_same_caller(
    own_library: str, connection: psycopg.Connection
) -> None:
    """A 400 for another key of the same tenant, and by another sidecar."""
    second = "qk_secondAA.secretsecretsecretsecretsecret09"
    add_key(connection, ACME, second)
    token = a_token(own_library)
    body = WHO_READS | {"page": {"token": token}}
    eventually(
        lambda: 200 == post(own_library, "search/subject", WHO_READS, key=second).status
    )

    assert 200 == post(own_library, "search/subject", body).status
    assert 400 == post(own_library, "search/subject", body, key=second).status


def test_s6_and_for_the_same_sidecar(library: str, named_library: str) -> None:
    """Each has a key of its own, which a restart changes: one begins again then."""
    assert refused(named_library, a_token(library))


@pytest.mark.parametrize("token", ["x", "AAAA", "=", "a b", "é", "A" * 5000, "\0"])
def test_s6_a_forged_token_is_refused(library: str, token: str) -> None:
    """A 400 for what never was one."""
    assert refused(library, token)


def test_s6_so_is_one_that_was_changed(library: str) -> None:
    """In any character, but for the bits that say nothing."""
    token = a_token(library)
    for at in range(0, len(token) - 1, 7):
        other = "A" if token[at] != "A" else "B"
        assert refused(library, token[:at] + other + token[at + 1 :])
    assert refused(library, token[:-4])


def test_pages_go_on_while_facts_change(
    own_library: str, connection: psycopg.Connection
) -> None:
    """Who stays is told once, who went isn't told, whoever the last page ended with."""
    body = SEARCHES["subject"]
    answer = told(post(own_library, "search/subject", body | {"page": {"limit": 3}}))
    first = ids(answer["results"])
    everybody = sorted([*READERS, EDITOR, GUEST])
    assert everybody[:3] == first
    gone = [first[-1], next(each for each in everybody[3:] if each in READERS)]
    connection.execute(
        "DELETE FROM tenant.group_members WHERE user_id = ANY(%s::uuid[])", [gone]
    )
    connection.execute(
        "DELETE FROM rbac.user_roles WHERE user_id = ANY(%s::uuid[])", [gone]
    )
    row = connection.execute("SELECT qeetid_authz.revision_token()").fetchone()
    assert row is not None

    rest, page = [], answer["page"]
    while page["next_token"]:
        answer = told(
            post(
                own_library,
                "search/subject",
                body | {"page": {"token": page["next_token"]}},
                X_Qeetid_At_Least=row[0],
            )
        )
        rest += ids(answer["results"])
        page = answer["page"]

    assert [each for each in everybody[3:] if each not in gone] == rest


def test_users_are_told_by_email(named_library: str, library: str) -> None:
    """If so configured, in the order of their ids, in pages too; machines by id."""
    expected = [email(each) for each in ids(search(library, "subject", **WHO_READS))]

    assert expected == ids(search(named_library, "subject", **WHO_READS))
    assert expected == [
        id_
        for page in pages(named_library, "subject", 2, **WHO_READS)
        for id_ in ids(page)
    ]
    for id_ in expected:
        assert evaluate(named_library, {**WHO_READS, "subject": user(id_)})
    assert [BINDER] == ids(
        search(
            named_library,
            "subject",
            subject={"type": "service"},
            action=WRITE,
            resource=BOOK,
        )
    )


def test_who_has_no_email_of_its_own_is_left_out(
    database: str, connection: psycopg.Connection
) -> None:
    """Under mirror semantics the deleted may; their e-mail names nobody, or others."""
    build(connection)
    gone, heir = READERS[0], STRANGER
    connection.execute(
        'UPDATE "user".users SET deleted_at = now() WHERE id = %s', [gone]
    )
    connection.execute(
        'UPDATE "user".users SET email = %s WHERE id = %s', [email(gone), heir]
    )
    with (
        sidecar(database, semantics="mirror", authzen_instances=True) as by_id,
        sidecar(
            database,
            semantics="mirror",
            authzen_instances=True,
            authzen_subject_id="email",
        ) as by_email,
    ):
        assert gone in ids(search(by_id, "subject", **WHO_READS))
        told_by_email = ids(search(by_email, "subject", **WHO_READS))

    assert sorted(map(email, [*READERS[1:], EDITOR, GUEST])) == sorted(told_by_email)


def test_without_instances_there_are_no_resources_to_search(
    library_database: str,
) -> None:
    """The route isn't there, and instance permissions count for nothing."""
    with sidecar(library_database, public_url="https://a.example") as base_url:
        reply = post(
            base_url, "search/resource", SEARCHES["resource"], Origin="https://x"
        )
        assert 404 == reply.status
        metadata = json.loads(
            request(base_url, "/.well-known/authzen-configuration").body
        )
        assert "search_resource_endpoint" not in metadata
        assert GUEST not in ids(search(base_url, "subject", **WHO_READS))


def test_the_pattern_of_keys_is_the_configured_one(library_database: str) -> None:
    """By which actions are found, too."""
    with sidecar(library_database, authzen_key="{type}:7:{action}") as base_url:
        assert [GUEST] == ids(search(base_url, "subject", **WHO_READS))
        assert [READ] == search(base_url, "action", subject=user(GUEST), resource=BOOK)


def test_who_isnt_asked_names_the_tenant(library_database: str) -> None:
    """A search needs one as well."""
    with sidecar(
        library_database, caller_auth="off", authzen_instances=True
    ) as base_url:
        assert 400 == post(base_url, "search/subject", WHO_READS, key=None).status
        path = f"/{OTHER}/access/v1/search/subject"
        found = told(
            post(
                base_url,
                path,
                WHO_READS | {"resource": {"type": "book", "id": "secret-merger"}},
                key=None,
            )
        )
        assert [user(STRANGER)] == found["results"]


def test_a_user_may_search_who_may_ask(strict_office: Office) -> None:
    """By `role.read`."""
    for who, status in ((ANN, 200), (BOB, 403)):
        reply = post(
            strict_office.base_url,
            "search/subject",
            WHO_READS,
            key=None,
            Authorization=strict_office.user(who),
        )
        assert status == reply.status
