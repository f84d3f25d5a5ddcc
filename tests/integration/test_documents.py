"""Import and export against a real Postgres."""

from typing import Any

import psycopg
import pytest

from qeetid_authz.document import Document, read_document
from qeetid_authz.errors import (
    DocumentError,
    ImportConflictError,
    SchemaError,
    UnreachableError,
)
from qeetid_authz.postgres.exporting import export_document
from qeetid_authz.postgres.importing import Counts, ImportReport, import_document

Connection = psycopg.Connection[tuple[Any, ...]]

TOO_LONG = "".join(chr(0x4E00 + n * 7 % 20_000) for n in range(9_000))
ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"
THREE = "00000000-0000-0000-0000-000000000003"

TABLES = (
    "rbac.permissions",
    "rbac.roles",
    "rbac.role_permissions",
    "rbac.user_roles",
    "rbac.group_roles",
    "tenant.tenants",
    "tenant.groups",
    "tenant.group_members",
    '"user".users',
)

ACME: dict[str, Any] = {
    "permissions": [{"key": "billing:read", "description": "See invoices"}],
    "users": [
        {"email": "ann@acme.test", "display_name": "Ann"},
        {"email": "bob@acme.test", "status": "invited"},
        {"email": "old@acme.test", "status": "deleted"},
    ],
    "tenants": [
        {
            "slug": "acme",
            "name": "Acme Inc",
            "roles": [
                {"name": "clerk", "permissions": ["billing:read", "billing:write"]},
                {"name": "reader", "permissions": ["billing:read"], "description": "-"},
            ],
            "groups": [
                {
                    "name": "staff",
                    "roles": ["reader"],
                    "members": ["ann@acme.test", "bob@acme.test"],
                }
            ],
            "assignments": [{"user": "ann@acme.test", "roles": ["clerk"]}],
        }
    ],
}


def put(connection: Connection, **document: Any) -> ImportReport:
    """Import a document given by its members."""
    return import_document(connection, read_document(document))


def put_tenant(connection: Connection, **members: Any) -> ImportReport:
    """Import a document of one tenant and users `ann` and `bob`."""
    users = [{"email": "ann"}, {"email": "bob"}]
    return put(connection, users=users, tenants=[{"slug": "acme", **members}])


def tenant_of(connection: Connection) -> dict[str, Any]:
    """The only tenant of the database, without what the tests don't look at."""
    document, _ = export_document(connection)
    (tenant,) = document.tenants
    return {
        "roles": {role.name: role.permissions for role in tenant.roles},
        "groups": {each.name: (each.roles, each.members) for each in tenant.groups},
        "assignments": {each.user: each.roles for each in tenant.assignments},
    }


def one(connection: Connection, query: Any, *values: Any) -> Any:
    """The first column of the only row."""
    ((found,),) = connection.execute(query, values or None).fetchall()
    return found


def versions(connection: Connection) -> list[set[tuple[Any, ...]]]:
    """Which row version each table holds where: changed by any write whatever."""
    return [
        set(connection.execute(f"select xmin::text, ctid::text from {table}"))
        for table in TABLES
    ]


def conflict(connection: Connection, **document: Any) -> str:
    """The message of an import that is refused, having written nothing."""
    before = versions(connection)
    with pytest.raises(ImportConflictError) as caught:
        put(connection, **document)
    assert before == versions(connection)
    return str(caught.value)


def test_import_makes_everything_named(connection: Connection) -> None:
    """A document in an empty database comes out again, with ids and defaults."""
    report = put(connection, **ACME)

    document, notes = export_document(connection)
    (acme,) = document.tenants
    assert notes == []
    assert {each.key: each.description for each in document.permissions} == {
        "billing:read": "See invoices",
        "billing:write": None,
    }
    assert {
        user.email: (user.display_name, user.status) for user in document.users
    } == {
        "ann@acme.test": ("Ann", "active"),
        "bob@acme.test": (None, "invited"),
        "old@acme.test": (None, "deleted"),
    }
    assert (acme.slug, acme.name, acme.status) == ("acme", "Acme Inc", "active")
    assert tenant_of(connection) == {
        "roles": {
            "clerk": ("billing:read", "billing:write"),
            "reader": ("billing:read",),
        },
        "groups": {"staff": (("reader",), ("ann@acme.test", "bob@acme.test"))},
        "assignments": {"ann@acme.test": ("clerk",)},
    }
    assert {
        "permissions": Counts(added=2),
        "users": Counts(added=3),
        "tenants": Counts(added=1),
        "roles": Counts(added=2),
        "groups": Counts(added=1),
        "role_permissions": Counts(added=3),
        "user_roles": Counts(added=1),
        "group_members": Counts(added=2),
        "group_roles": Counts(added=1),
    } == report.counts


def test_import_again_writes_nothing(connection: Connection) -> None:
    """The same document once more leaves every row version as it is."""
    put(connection, **ACME)
    before = versions(connection)

    report = put(connection, **ACME)

    assert {Counts()} == set(report.counts.values())
    assert before == versions(connection)


def test_import_of_an_export_writes_nothing(connection: Connection) -> None:
    """Whatever is in the database, its export changes nothing when imported."""
    put(connection, **ACME)
    spoil(connection)
    before = versions(connection)

    document, notes = export_document(connection)
    import_document(connection, document)

    assert before == versions(connection)
    assert notes == [
        "left out of `tenant.group_members`, as they name a user that does not exist: 1",
        (
            "left out of `tenant.group_members`, as they carry another tenant than their "
            "group: 1"
        ),
        (
            "left out of `rbac.group_roles`, as they carry another tenant than their "
            "group: 1"
        ),
        "left out of `rbac.group_roles`, as they grant a role of another tenant: 1",
        "left out of `rbac.user_roles`, as they name a user that does not exist: 1",
        "left out of `rbac.user_roles`, as they grant a role of another tenant: 1",
        "left out of `rbac.permissions`, as they have an empty key: 1",
    ]


def spoil(connection: Connection) -> None:
    """Add what Qeet ID's tables allow and no document can say (facts 0.2, 0.3)."""
    put(
        connection,
        users=[{"email": "ann@acme.test"}],
        tenants=[{"slug": "other", "roles": [{"name": "alien", "permissions": ["x"]}]}],
    )
    connection.execute(
        """
        insert into rbac.permissions (key) values ('');
        insert into rbac.role_permissions
            select r.id, p.id from rbac.roles r, rbac.permissions p
            where r.name = 'clerk' and p.key = '';
        insert into rbac.user_roles (user_id, tenant_id, role_id)
            select gen_random_uuid(), tenant_id, id from rbac.roles where name = 'clerk';
        insert into rbac.user_roles (user_id, tenant_id, role_id)
            select u.id, t.id, r.id
            from "user".users u, tenant.tenants t, rbac.roles r
            where u.email = 'ann@acme.test' and t.slug = 'acme' and r.name = 'alien';
        insert into tenant.group_members (group_id, user_id, tenant_id)
            select id, gen_random_uuid(), tenant_id from tenant.groups;
        insert into tenant.group_members (group_id, user_id, tenant_id)
            select g.id, u.id, t.id
            from tenant.groups g, "user".users u, tenant.tenants t
            where u.email = 'old@acme.test' and t.slug = 'other';
        insert into rbac.group_roles (group_id, role_id, tenant_id)
            select g.id, r.id, g.tenant_id
            from tenant.groups g, rbac.roles r where r.name = 'alien';
        insert into rbac.group_roles (group_id, role_id, tenant_id)
            select g.id, r.id, t.id
            from tenant.groups g, rbac.roles r, tenant.tenants t
            where r.name = 'clerk' and t.slug = 'other';
        insert into "user".users (email, status, deleted_at)
            values ('old@acme.test', 'active', now()), ('old@acme.test', 'deleted', null);
        insert into tenant.tenants (slug, name, status, deleted_at)
            values ('gone', 'Gone', 'suspended', now());
        insert into tenant.groups (tenant_id, name)
            select tenant_id, name from tenant.groups;
        """
    )


def test_named_relations_become_exactly_so(connection: Connection) -> None:
    """What a named role, group or assignment doesn't list any more is taken away."""
    roles = [{"name": "r", "permissions": ["a", "b"]}, {"name": "s"}]
    groups = [{"name": "g", "roles": ["r"], "members": ["ann"]}]
    assignments = [{"user": "ann", "roles": ["r"]}]
    put_tenant(connection, roles=roles, groups=groups, assignments=assignments)

    report = put_tenant(
        connection,
        roles=[{"name": "r", "permissions": ["b", "c"]}, {"name": "s"}],
        groups=[{"name": "g", "roles": ["s"], "members": ["bob"]}],
        assignments=[{"user": "ann"}, {"user": "bob", "roles": ["s"]}],
    )

    assert tenant_of(connection) == {
        "roles": {"r": ("b", "c"), "s": ()},
        "groups": {"g": (("s",), ("bob",))},
        "assignments": {"bob": ("s",)},
    }
    relations = ("role_permissions", "user_roles", "group_members", "group_roles")
    expected = Counts(added=1, removed=1)
    assert [expected] * 4 == [report.counts[relation] for relation in relations]


def test_unnamed_things_stay(connection: Connection) -> None:
    """A document that doesn't name a tenant, role, group or holder leaves it alone."""
    put(connection, **ACME)
    before = tenant_of(connection)

    put(connection, tenants=[{"slug": "acme"}], users=[{"email": "new"}])

    assert before == tenant_of(connection)


def test_absent_members_leave_columns_alone(connection: Connection) -> None:
    """Names, descriptions and statuses that aren't given stay."""
    put(connection, **ACME)
    put(connection, users=[{"email": "bob@acme.test", "status": "suspended"}])
    before = versions(connection)

    put(
        connection,
        permissions=[{"key": "billing:read"}],
        users=[{"email": "ann@acme.test"}, {"email": "bob@acme.test"}],
        tenants=[
            {
                "slug": "acme",
                "roles": [{"name": "reader", "permissions": ["billing:read"]}],
            }
        ],
    )

    assert before == versions(connection)


def test_given_members_change_columns(connection: Connection) -> None:
    """Names, spelling, descriptions and statuses that are given become so."""
    put(connection, **ACME)

    report = put(
        connection,
        permissions=[{"key": "billing:read", "description": "new"}],
        users=[{"email": "ANN@acme.test", "display_name": "A", "status": "suspended"}],
        tenants=[
            {
                "slug": "Acme",
                "name": "New",
                "status": "suspended",
                "roles": [{"name": "Reader", "permissions": ["billing:read"]}],
            }
        ],
    )

    document, _ = export_document(connection)
    ann = document.users[0]
    (acme,) = document.tenants
    assert document.permissions[0].description == "new"
    assert (
        ann.email,
        ann.display_name,
        ann.status,
    ) == ("ANN@acme.test", "A", "suspended")
    assert (acme.slug, acme.name, acme.status) == ("Acme", "New", "suspended")
    assert [role.name for role in acme.roles] == ["Reader", "clerk"]
    kinds = ("permissions", "users", "tenants", "roles")
    assert [Counts(changed=1)] * 4 == [report.counts[kind] for kind in kinds]


def test_rows_keep_their_database_ids(connection: Connection) -> None:
    """Entries without ids mean the rows of the same natural key."""
    put(
        connection,
        users=[{"email": "ann", "id": ONE}],
        tenants=[
            {
                "slug": "acme",
                "id": ONE,
                "roles": [{"name": "r", "id": ONE}],
                "groups": [{"name": "g", "id": ONE}],
            }
        ],
    )

    put_tenant(
        connection,
        roles=[{"name": "R", "permissions": ["a"]}],
        groups=[{"name": "g", "roles": ["R"], "members": ["ANN"]}],
        assignments=[{"user": "Ann", "roles": ["R"]}],
    )

    assert str(one(connection, "select id from rbac.roles")) == ONE
    assert str(one(connection, "select id from tenant.groups")) == ONE
    assert str(one(connection, "select user_id from rbac.user_roles")) == ONE
    assert str(one(connection, "select tenant_id from tenant.group_members")) == ONE


def test_given_ids_rename(connection: Connection) -> None:
    """An entry with an id means that row, whatever it is called now."""
    put(
        connection,
        tenants=[{"slug": "a", "id": ONE}],
        users=[{"email": "a", "id": ONE}],
    )

    put(
        connection,
        tenants=[{"slug": "b", "id": ONE}, {"slug": "a"}],
        users=[{"email": "b", "id": ONE}, {"email": "a"}],
    )

    document, _ = export_document(connection)
    assert [tenant.slug for tenant in document.tenants] == ["a", "b"]
    assert document.tenants[1].id == ONE
    assert document.users[1].id == ONE


def test_deleting_and_restoring_a_user(connection: Connection) -> None:
    """Status `deleted` is a soft delete that keeps its date; another status undoes it."""
    date = 'select deleted_at from "user".users'
    put(connection, users=[{"email": "ann"}])
    put(connection, users=[{"email": "ann", "status": "deleted"}])
    deleted_at = one(connection, date)

    put(connection, users=[{"email": "ann", "status": "deleted"}])
    assert deleted_at is not None
    assert deleted_at == one(connection, date)

    put(connection, users=[{"email": "ann", "status": "active"}])
    assert one(connection, date) is None
    assert one(connection, 'select status from "user".users') == "active"


def test_deleting_and_restoring_a_tenant(connection: Connection) -> None:
    """A tenant is deleted and restored as a user is."""
    put(connection, tenants=[{"slug": "acme"}])
    put(connection, tenants=[{"slug": "acme", "status": "deleted"}])
    assert one(connection, "select deleted_at from tenant.tenants") is not None

    put(connection, tenants=[{"slug": "acme", "status": "active"}])
    assert one(connection, "select deleted_at from tenant.tenants") is None


def test_deleting_frees_an_email(connection: Connection) -> None:
    """One document may delete a user and give the e-mail to another."""
    put(connection, users=[{"email": "ann", "id": ONE}])

    put(
        connection,
        users=[
            {"email": "ann", "id": ONE, "status": "deleted"},
            {"email": "ann", "id": TWO},
        ],
    )

    document, _ = export_document(connection)
    assert {u.id: u.status for u in document.users} == {ONE: "deleted", TWO: "active"}


def test_deleted_user_is_found_again(connection: Connection) -> None:
    """An entry of a deleted user means the only deleted row of its e-mail."""
    connection.execute(
        """insert into "user".users (email, status, deleted_at)
        values ('ann', 'deleted', now())"""
    )

    report = put(connection, users=[{"email": "Ann", "status": "deleted"}])

    assert report.counts["users"] == Counts(changed=1)


def test_shared_emails_are_referred_to_by_id(connection: Connection) -> None:
    """An export names a user by id where the e-mail could mean several."""
    users = [
        {"email": "ann", "id": ONE, "status": "deleted"},
        {"email": "ann", "id": TWO},
        {"email": ONE, "id": THREE},
    ]
    groups = [{"name": "g", "members": [ONE, TWO, THREE]}]
    put(connection, users=users, tenants=[{"slug": "acme", "groups": groups}])

    assert tenant_of(connection)["groups"] == {"g": ((), (ONE, TWO, THREE))}


def test_rows_of_another_tenant_are_taken_over(connection: Connection) -> None:
    """A row that carries a wrong tenant counts again once a document names it."""
    groups = [{"name": "g", "roles": ["r"], "members": ["ann"]}]
    put_tenant(connection, roles=[{"name": "r"}], groups=groups)
    connection.execute(
        """
        insert into tenant.tenants (slug, name) values ('other', 'Other');
        update tenant.group_members set tenant_id = t.id
            from tenant.tenants t where t.slug = 'other';
        update rbac.group_roles set tenant_id = t.id
            from tenant.tenants t where t.slug = 'other';
        """
    )

    report = put_tenant(connection, roles=[{"name": "r"}], groups=groups)

    assert report.counts["group_members"] == Counts(changed=1)
    assert report.counts["group_roles"] == Counts(changed=1)


def test_permission_renamed_in_the_database(connection: Connection) -> None:
    """A key whose derived id a renamed permission holds gets another id."""
    put(connection, permissions=[{"key": "a"}])
    connection.execute("update rbac.permissions set key = 'b'")

    put(connection, permissions=[{"key": "a"}])

    document, _ = export_document(connection)
    assert [permission.key for permission in document.permissions] == ["a", "b"]


def test_contradicting_ids_are_refused(connection: Connection) -> None:
    """An id beside a natural key that another row has names both ids."""
    role = {"name": "r", "id": ONE}
    put(
        connection,
        users=[{"email": "ann", "id": ONE}],
        tenants=[{"slug": "acme", "id": ONE, "roles": [role]}],
    )
    rest = f"has id `{TWO}` here and `{ONE}` in the database; use that id or give none"

    assert f"user `Ann` {rest}" == conflict(
        connection, users=[{"email": "Ann", "id": TWO}]
    )
    assert f"tenant `acme` {rest}" == conflict(
        connection, tenants=[{"slug": "acme", "id": TWO}]
    )
    assert f"role `R` {rest}" == conflict(
        connection,
        tenants=[{"slug": "acme", "roles": [{"name": "R", "id": TWO}]}],
    )


def test_ids_of_another_tenant_are_refused(connection: Connection) -> None:
    """A role or group stays in its tenant."""
    members = {
        "roles": [{"name": "r", "id": ONE}],
        "groups": [{"name": "g", "id": ONE}],
    }
    put(connection, tenants=[{"slug": "acme", "id": ONE, **members}])

    message = conflict(connection, tenants=[{"slug": "other", **members}])

    rest = f"has id `{ONE}`, which belongs to tenant `{ONE}` in the database; "
    rest += "give it another id"
    assert f"group `g` {rest}; role `r` {rest}" == message


def test_taken_derived_ids_are_refused(connection: Connection) -> None:
    """After a rename in the database, the old name needs an id to mean a new row."""
    members = {"roles": [{"name": "r"}], "groups": [{"name": "g"}]}
    put_tenant(connection, **members)
    connection.execute(
        """
        update "user".users set email = 'x' where email = 'ann';
        update rbac.roles set name = 'x';
        update tenant.groups set name = 'x';
        """
    )

    message = conflict(
        connection,
        users=[{"email": "ann"}],
        tenants=[{"slug": "acme", **members}],
    )

    assert [
        problem.split(" has no id, and the one derived from its name")[0]
        for problem in message.split("give it an id")[:-1]
        for problem in [problem.removeprefix("; ")]
    ] == ["group `g`", "role `r`", "user `ann`"]

    connection.execute("update tenant.tenants set slug = 'x'")
    assert "is that of `x`" in conflict(connection, tenants=[{"slug": "acme"}])


def test_groups_of_one_name_need_an_id(connection: Connection) -> None:
    """A name that several groups have doesn't say which one is meant."""
    groups = [{"name": "g", "id": ONE}, {"name": "g", "id": TWO}]
    put(connection, tenants=[{"slug": "acme", "groups": groups}])

    assert (
        "the database holds several groups `g` in this tenant; "
        f"give the id of one: {ONE}, {TWO}"
    ) == conflict(connection, tenants=[{"slug": "acme", "groups": [{"name": "g"}]}])

    groups = [{"name": "g", "id": ONE}, {"name": "g"}]
    put(connection, tenants=[{"slug": "acme", "groups": groups}])
    assert one(connection, "select count(*) from tenant.groups") == 2


def test_rules_of_the_database_are_named(connection: Connection) -> None:
    """A row that a constraint refuses undoes the import and says which one."""
    connection.execute(
        "alter table rbac.roles add constraint short check (length(name) < 5)"
    )

    message = conflict(
        connection, tenants=[{"slug": "acme", "roles": [{"name": "much too long"}]}]
    )

    assert "the database refuses a row of the document" in message
    assert "short" in message


def test_invalid_document_reaches_no_database(connection: Connection) -> None:
    """A document that contradicts itself is refused before anything is written."""
    before = versions(connection)

    with pytest.raises(DocumentError):
        put_tenant(connection, groups=[{"name": "g", "members": ["nobody"]}])

    assert before == versions(connection)


def test_progress_reaches_its_total(connection: Connection) -> None:
    """Progress counts up one by one to the number it announced."""
    seen: list[tuple[str, int, int]] = []

    import_document(
        connection, read_document(ACME), progress=lambda *step: seen.append(step)
    )

    (total,) = {step[2] for step in seen}
    assert list(range(total + 1)) == [step[1] for step in seen]
    assert {"reading users", "comparing", "writing group members"} < {
        step[0] for step in seen
    }


def test_open_transactions_are_refused(database: str) -> None:
    """Import and export are transactions of their own."""
    with psycopg.connect(database) as connection:
        connection.execute("select 1")

        with pytest.raises(ValueError, match="inside a transaction"):
            import_document(connection, Document())
        with pytest.raises(ValueError, match="inside a transaction"):
            export_document(connection)


def test_another_database_is_named(empty_database: str) -> None:
    """On a database that isn't Qeet ID's, the missing table is named."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        with pytest.raises(SchemaError, match=r"rbac\.permissions"):
            import_document(connection, read_document(ACME))
        with pytest.raises(SchemaError, match=r"rbac\.permissions"):
            export_document(connection)


def test_lost_connection_is_named(connection: Connection, database: str) -> None:
    """A server that hangs up is an error of ours, not the driver's."""
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])

    with pytest.raises(UnreachableError):
        export_document(connection)


def test_a_text_too_long_for_its_index(connection: Connection) -> None:
    """What the database can't index is refused by name, and nothing is written."""
    document = read_document({"users": [{"email": "a@x"}, {"email": TOO_LONG}]})

    with pytest.raises(ImportConflictError, match="users_email_key|index row"):
        import_document(connection, document)

    assert connection.execute('SELECT FROM "user".users').fetchall() == []
