-- Import and export of a declarative document.
--
-- The queries of an import run in the order of this file. They copy the document into
-- tables doc_*, whose `target` says which row of the database an entry means, and
-- derive from them the tables want_* of relations.
-- A row "counts as deleted" when its status or its deleted_at says so.


-- name: stage
-- Waits for other imports and makes the tables that receive the document.
-- Tables that were filled just now have no statistics, without which a merge join on
-- the tenant alone looks cheap.
set transaction isolation level read committed;
set local enable_mergejoin = off;
select pg_advisory_xact_lock(hashtextextended('qeetid_authz.import', 0));
create temp table doc_permission (
    id uuid primary key, key text not null, description text, target uuid unique
) on commit drop;
create temp table doc_user (
    id uuid primary key, given boolean not null, email text not null,
    display_name text, status text, target uuid unique
) on commit drop;
create temp table doc_tenant (
    id uuid primary key, given boolean not null, slug text not null,
    name text, status text, target uuid unique
) on commit drop;
create temp table doc_role (
    id uuid primary key, given boolean not null, tenant uuid not null,
    name text not null, description text, target uuid unique
) on commit drop;
create temp table doc_group (
    id uuid primary key, given boolean not null, tenant uuid not null,
    name text not null, target uuid unique
) on commit drop;
create temp table doc_assignment (tenant uuid, holder uuid) on commit drop;
create temp table doc_role_permission (role uuid, permission uuid) on commit drop;
create temp table doc_user_role (tenant uuid, holder uuid, role uuid) on commit drop;
create temp table doc_group_member (tenant uuid, member uuid, grp uuid) on commit drop;
create temp table doc_group_role (tenant uuid, grp uuid, role uuid) on commit drop;


-- name: copy_permissions
copy doc_permission (id, key, description) from stdin;


-- name: copy_users
copy doc_user (id, given, email, display_name, status) from stdin;


-- name: copy_tenants
copy doc_tenant (id, given, slug, name, status) from stdin;


-- name: copy_roles
copy doc_role (id, given, tenant, name, description) from stdin;


-- name: copy_groups
copy doc_group (id, given, tenant, name) from stdin;


-- name: copy_assignments
copy doc_assignment (tenant, holder) from stdin;


-- name: copy_role_permissions
copy doc_role_permission (role, permission) from stdin;


-- name: copy_user_roles
copy doc_user_role (tenant, holder, role) from stdin;


-- name: copy_group_members
copy doc_group_member (tenant, member, grp) from stdin;


-- name: copy_group_roles
copy doc_group_role (tenant, grp, role) from stdin;


-- name: analyze
-- Tells the planner how large the document is.
analyze doc_permission, doc_user, doc_tenant, doc_role, doc_group, doc_assignment,
    doc_role_permission, doc_user_role, doc_group_member, doc_group_role;


-- name: match_permissions
-- By key. A derived id that a renamed permission holds is given up for a random one.
update doc_permission d
set target = coalesce(m.same, case when m.taken is null then d.id end, gen_random_uuid())
from (
    select d.id, same.id as same, taken.id as taken
    from doc_permission d
    left join rbac.permissions same on same.key = d.key
    left join rbac.permissions taken on taken.id = d.id
) m
where m.id = d.id;


-- name: match_users
-- By id when given, else by live e-mail, by derived id, and among deleted users by
-- e-mail when the entry itself is of a deleted one.
update doc_user d
set target = case
    when d.given then d.id
    else coalesce(m.live, m.own, m.gone, case when m.taken is null then d.id end)
end
from (
    select
        d.id,
        live.id as live,
        taken.id as taken,
        case when lower(taken.email) = lower(d.email) then taken.id end as own,
        gone.sole as gone
    from doc_user d
    left join "user".users live
        on live.deleted_at is null and lower(live.email) = lower(d.email)
        and not exists (select from doc_user c where c.given and c.id = live.id)
    left join "user".users taken on taken.id = d.id
    left join (
        select lower(u.email) as email, min(u.id::text)::uuid as sole
        from "user".users u
        where u.deleted_at is not null
            and not exists (select from doc_user c where c.given and c.id = u.id)
        group by 1
        having count(*) = 1
    ) gone on d.status = 'deleted' and gone.email = lower(d.email)
) m
where m.id = d.id;


-- name: match_tenants
-- By id when given, else by slug.
update doc_tenant d
set target = case
    when d.given then d.id
    else coalesce(m.same, case when m.taken is null then d.id end)
end
from (
    select d.id, same.id as same, taken.id as taken
    from doc_tenant d
    left join tenant.tenants same
        on lower(same.slug) = lower(d.slug)
        and not exists (select from doc_tenant c where c.given and c.id = same.id)
    left join tenant.tenants taken on taken.id = d.id
) m
where m.id = d.id;


-- name: match_roles
-- By id when given, else by name in the tenant.
update doc_role d
set target = case
    when d.given then d.id
    else coalesce(m.same, case when m.taken is null then d.id end)
end
from (
    select d.id, same.id as same, taken.id as taken
    from doc_role d
    join doc_tenant t on t.id = d.tenant
    left join rbac.roles same
        on same.tenant_id = t.target and lower(same.name) = lower(d.name)
        and not exists (select from doc_role c where c.given and c.id = same.id)
    left join rbac.roles taken on taken.id = d.id
) m
where m.id = d.id;


-- name: match_groups
-- By id when given, else by name in the tenant; of several the one of the derived id.
update doc_group d
set target = case
    when d.given then d.id
    when m.ids is null then case when m.taken is null then d.id end
    when d.id = any (m.ids) then d.id
    when cardinality(m.ids) = 1 then m.ids[1]
end
from (
    select d.id, same.ids, taken.id as taken
    from doc_group d
    join doc_tenant t on t.id = d.tenant
    left join (
        select g.tenant_id, g.name, array_agg(g.id) as ids
        from tenant.groups g
        where not exists (select from doc_group c where c.given and c.id = g.id)
        group by 1, 2
    ) same on same.tenant_id = t.target and same.name = d.name
    left join tenant.groups taken on taken.id = d.id
) m
where m.id = d.id;


-- name: conflicts
-- Entries that no row of the database can become: kind, name, rule, id, other.
select 'tenant', d.slug, 'taken', d.id::text, t.id::text
from doc_tenant d
join tenant.tenants t on lower(t.slug) = lower(d.slug) and t.id <> d.id
where d.given
union all
select 'tenant', d.slug, 'derived', d.id::text, t.slug
from doc_tenant d
join tenant.tenants t on t.id = d.id
where d.target is null
union all
select 'user', d.email, 'taken', d.id::text, u.id::text
from doc_user d
join "user".users u
    on u.deleted_at is null and lower(u.email) = lower(d.email) and u.id <> d.id
left join "user".users own on own.id = d.id
where d.given
    and coalesce(d.status <> 'deleted', own.deleted_at is null)
    and not exists (
        select from doc_user c where c.target = u.id and c.status = 'deleted'
    )
union all
select 'user', d.email, 'derived', d.id::text, u.email
from doc_user d
join "user".users u on u.id = d.id
where d.target is null
union all
select 'role', d.name, 'taken', d.id::text, r.id::text
from doc_role d
join doc_tenant t on t.id = d.tenant
join rbac.roles r
    on r.tenant_id = t.target and lower(r.name) = lower(d.name) and r.id <> d.id
where d.given
union all
select 'role', d.name, 'derived', d.id::text, r.name
from doc_role d
join rbac.roles r on r.id = d.id
where d.target is null
union all
select 'role', d.name, 'moved', d.id::text, r.tenant_id::text
from doc_role d
join doc_tenant t on t.id = d.tenant
join rbac.roles r on r.id = d.target and r.tenant_id <> t.target
union all
select 'group', d.name, 'derived', d.id::text, g.name
from doc_group d
join doc_tenant t on t.id = d.tenant
join tenant.groups g
    on g.id = d.id and (g.tenant_id <> t.target or g.name <> d.name)
where d.target is null
union all
select 'group', d.name, 'several', d.id::text, string_agg(g.id::text, ', ' order by g.id)
from doc_group d
join doc_tenant t on t.id = d.tenant
join tenant.groups g on g.tenant_id = t.target and g.name = d.name
where d.target is null
    and not exists (select from doc_group c where c.given and c.id = g.id)
group by d.id, d.name
union all
select 'group', d.name, 'moved', d.id::text, g.tenant_id::text
from doc_group d
join doc_tenant t on t.id = d.tenant
join tenant.groups g on g.id = d.target and g.tenant_id <> t.target
order by 1, 2, 3, 4, 5;


-- name: want
-- The relations of the document in ids of the database.
create temp table want_role_permission on commit drop as
select r.target as role_id, p.target as permission_id
from doc_role_permission d
join doc_role r on r.id = d.role
join doc_permission p on p.id = d.permission;
create temp table want_holder on commit drop as
select t.target as tenant_id, u.target as user_id
from doc_assignment d
join doc_tenant t on t.id = d.tenant
join doc_user u on u.id = d.holder;
create temp table want_user_role on commit drop as
select t.target as tenant_id, u.target as user_id, r.target as role_id
from doc_user_role d
join doc_tenant t on t.id = d.tenant
join doc_user u on u.id = d.holder
join doc_role r on r.id = d.role;
create temp table want_group on commit drop as
select t.target as tenant_id, g.target as group_id
from doc_group g
join doc_tenant t on t.id = g.tenant;
create temp table want_group_member on commit drop as
select t.target as tenant_id, u.target as user_id, g.target as group_id
from doc_group_member d
join doc_tenant t on t.id = d.tenant
join doc_user u on u.id = d.member
join doc_group g on g.id = d.grp;
create temp table want_group_role on commit drop as
select t.target as tenant_id, g.target as group_id, r.target as role_id
from doc_group_role d
join doc_tenant t on t.id = d.tenant
join doc_group g on g.id = d.grp
join doc_role r on r.id = d.role;
create unique index on want_role_permission (role_id, permission_id);
create unique index on want_holder (user_id, tenant_id);
create unique index on want_user_role (user_id, tenant_id, role_id);
create unique index on want_group (group_id);
create unique index on want_group_member (group_id, user_id);
create unique index on want_group_role (group_id, role_id);
analyze want_role_permission, want_holder, want_user_role, want_group,
    want_group_member, want_group_role;


-- name: permissions_changed
-- Descriptions that the document gives.
update rbac.permissions p
set description = d.description
from doc_permission d
where p.id = d.target and p.description <> d.description;


-- name: permissions_added
insert into rbac.permissions (id, key, description)
select d.target, d.key, coalesce(d.description, '')
from doc_permission d
where not exists (select from rbac.permissions p where p.id = d.target);


-- name: users_deleted
-- Before other changes, since a deleted user sets its e-mail free.
update "user".users u
set status = 'deleted', deleted_at = now(), updated_at = now()
from doc_user d
where u.id = d.target
    and d.status = 'deleted' and u.status <> 'deleted' and u.deleted_at is null;


-- name: users_changed
-- A status other than deleted also restores.
update "user".users u
set
    email = d.email,
    display_name = coalesce(d.display_name, u.display_name),
    status = case when d.status <> 'deleted' then d.status else u.status end,
    deleted_at = case when d.status <> 'deleted' then null else u.deleted_at end,
    updated_at = now()
from doc_user d
where u.id = d.target
    and (
        u.email <> d.email
        or u.display_name is distinct from coalesce(d.display_name, u.display_name)
        or d.status <> 'deleted' and (u.status <> d.status or u.deleted_at is not null)
    );


-- name: users_added
insert into "user".users (id, email, display_name, status, deleted_at)
select
    d.target, d.email, d.display_name, coalesce(d.status, 'active'),
    case when d.status = 'deleted' then now() end
from doc_user d
where not exists (select from "user".users u where u.id = d.target);


-- name: tenants_deleted
update tenant.tenants t
set status = 'deleted', deleted_at = now(), updated_at = now()
from doc_tenant d
where t.id = d.target
    and d.status = 'deleted' and t.status <> 'deleted' and t.deleted_at is null;


-- name: tenants_changed
-- A status other than deleted also restores.
update tenant.tenants t
set
    slug = d.slug,
    name = coalesce(d.name, t.name),
    status = case when d.status <> 'deleted' then d.status else t.status end,
    deleted_at = case when d.status <> 'deleted' then null else t.deleted_at end,
    updated_at = now()
from doc_tenant d
where t.id = d.target
    and (
        t.slug <> d.slug
        or t.name <> d.name
        or d.status <> 'deleted' and (t.status <> d.status or t.deleted_at is not null)
    );


-- name: tenants_added
insert into tenant.tenants (id, slug, name, status, deleted_at)
select
    d.target, d.slug, coalesce(d.name, d.slug), coalesce(d.status, 'active'),
    case when d.status = 'deleted' then now() end
from doc_tenant d
where not exists (select from tenant.tenants t where t.id = d.target);


-- name: roles_changed
update rbac.roles r
set name = d.name, description = coalesce(d.description, r.description)
from doc_role d
where r.id = d.target and (r.name <> d.name or r.description <> d.description);


-- name: roles_added
insert into rbac.roles (id, tenant_id, name, description)
select d.target, t.target, d.name, coalesce(d.description, '')
from doc_role d
join doc_tenant t on t.id = d.tenant
where not exists (select from rbac.roles r where r.id = d.target);


-- name: groups_changed
update tenant.groups g
set name = d.name, updated_at = now()
from doc_group d
where g.id = d.target and g.name <> d.name;


-- name: groups_added
insert into tenant.groups (id, tenant_id, name)
select d.target, t.target, d.name
from doc_group d
join doc_tenant t on t.id = d.tenant
where not exists (select from tenant.groups g where g.id = d.target);


-- name: role_permissions_removed
-- Of named roles, but for permissions that no document can name.
delete from rbac.role_permissions x
using doc_role d, rbac.permissions p
where x.role_id = d.target and p.id = x.permission_id and p.key <> ''
    and not exists (
        select from want_role_permission w
        where w.role_id = x.role_id and w.permission_id = x.permission_id
    );


-- name: role_permissions_added
insert into rbac.role_permissions (role_id, permission_id)
select w.role_id, w.permission_id
from want_role_permission w
where not exists (
    select from rbac.role_permissions x
    where x.role_id = w.role_id and x.permission_id = w.permission_id
)
on conflict do nothing;


-- name: user_roles_removed
-- Of named assignments, but for roles of other tenants (Qeet ID fact 0.3).
delete from rbac.user_roles x
using want_holder h, rbac.roles r
where x.tenant_id = h.tenant_id and x.user_id = h.user_id
    and r.id = x.role_id and r.tenant_id = x.tenant_id and r.name <> ''
    and not exists (
        select from want_user_role w
        where w.tenant_id = x.tenant_id and w.user_id = x.user_id
            and w.role_id = x.role_id
    );


-- name: user_roles_added
insert into rbac.user_roles (user_id, tenant_id, role_id)
select w.user_id, w.tenant_id, w.role_id
from want_user_role w
where not exists (
    select from rbac.user_roles x
    where x.tenant_id = w.tenant_id and x.user_id = w.user_id
        and x.role_id = w.role_id
)
on conflict do nothing;


-- name: group_members_removed
-- Of named groups, but for rows of another tenant or of no user (Qeet ID fact 0.2).
delete from tenant.group_members x
using want_group g, "user".users u
where x.group_id = g.group_id and x.tenant_id = g.tenant_id
    and u.id = x.user_id and u.email <> ''
    and not exists (
        select from want_group_member w
        where w.group_id = x.group_id and w.user_id = x.user_id
    );


-- name: group_members_changed
-- Rows that another tenant's id kept from counting.
update tenant.group_members x
set tenant_id = w.tenant_id
from want_group_member w
where x.group_id = w.group_id and x.user_id = w.user_id and x.tenant_id <> w.tenant_id;


-- name: group_members_added
insert into tenant.group_members (group_id, user_id, tenant_id)
select w.group_id, w.user_id, w.tenant_id
from want_group_member w
where not exists (
    select from tenant.group_members x
    where x.group_id = w.group_id and x.user_id = w.user_id
)
on conflict do nothing;


-- name: group_roles_removed
-- Of named groups, but for rows or roles of another tenant (Qeet ID facts 0.2, 0.3).
delete from rbac.group_roles x
using want_group g, rbac.roles r
where x.group_id = g.group_id and x.tenant_id = g.tenant_id
    and r.id = x.role_id and r.tenant_id = x.tenant_id and r.name <> ''
    and not exists (
        select from want_group_role w
        where w.group_id = x.group_id and w.role_id = x.role_id
    );


-- name: group_roles_changed
-- Rows that another tenant's id kept from counting.
update rbac.group_roles x
set tenant_id = w.tenant_id
from want_group_role w
where x.group_id = w.group_id and x.role_id = w.role_id and x.tenant_id <> w.tenant_id;


-- name: group_roles_added
insert into rbac.group_roles (group_id, role_id, tenant_id)
select w.group_id, w.role_id, w.tenant_id
from want_group_role w
where not exists (
    select from rbac.group_roles x
    where x.group_id = w.group_id and x.role_id = w.role_id
)
on conflict do nothing;


-- name: read_snapshot
-- One consistent view for all queries of an export.
set transaction isolation level repeatable read read only;


-- name: export_permissions
-- Each permission: key, description.
select key, nullif(description, '')
from rbac.permissions
where key <> ''
order by key collate "C";


-- name: export_users
-- Each user: id, e-mail, display name, status.
select
    id::text, email, display_name,
    case when deleted_at is null then status else 'deleted' end
from "user".users
where email <> ''
order by lower(email) collate "C", email collate "C", id;


-- name: export_tenants
-- Each tenant: id, slug, name, status.
select
    id::text, slug, name,
    case when deleted_at is null then status else 'deleted' end
from tenant.tenants
where slug <> ''
order by lower(slug) collate "C";


-- name: export_roles
-- Each role: tenant, id, name, description, keys.
select
    r.tenant_id::text, r.id::text, r.name, nullif(r.description, ''),
    coalesce(
        array_agg(p.key order by p.key collate "C") filter (where p.key <> ''), '{}'
    )
from rbac.roles r
left join rbac.role_permissions x on x.role_id = r.id
left join rbac.permissions p on p.id = x.permission_id
where r.name <> ''
group by r.id
order by r.name collate "C";


-- name: export_groups
-- Each group: tenant, id, name, names of roles, ids of members.
select
    g.tenant_id::text, g.id::text, g.name,
    coalesce(held.roles, '{}'), coalesce(inside.members, '{}')
from tenant.groups g
left join (
    select x.group_id, x.tenant_id, array_agg(r.name order by r.name collate "C") as roles
    from rbac.group_roles x
    join rbac.roles r on r.id = x.role_id and r.tenant_id = x.tenant_id and r.name <> ''
    group by 1, 2
) held on held.group_id = g.id and held.tenant_id = g.tenant_id
left join (
    select x.group_id, x.tenant_id, array_agg(u.id::text) as members
    from tenant.group_members x
    join "user".users u on u.id = x.user_id and u.email <> ''
    group by 1, 2
) inside on inside.group_id = g.id and inside.tenant_id = g.tenant_id
where g.name <> ''
order by g.name collate "C", g.id;


-- name: export_assignments
-- Each user with roles in a tenant: tenant, user, names of roles.
select x.tenant_id::text, x.user_id::text, array_agg(r.name order by r.name collate "C")
from rbac.user_roles x
join rbac.roles r on r.id = x.role_id and r.tenant_id = x.tenant_id and r.name <> ''
join "user".users u on u.id = x.user_id and u.email <> ''
group by 1, 2;


-- name: export_notes
-- What no document can name: how many rows of which table, and why, each row once.
select 'tenant.group_members', 'name a user that does not exist', count(*)
from tenant.group_members x
where not exists (select from "user".users u where u.id = x.user_id)
union all
select 'tenant.group_members', 'carry another tenant than their group', count(*)
from tenant.group_members x
join tenant.groups g on g.id = x.group_id
join "user".users u on u.id = x.user_id
where g.tenant_id <> x.tenant_id
union all
select 'rbac.group_roles', 'carry another tenant than their group', count(*)
from rbac.group_roles x
join tenant.groups g on g.id = x.group_id
where g.tenant_id <> x.tenant_id
union all
select 'rbac.group_roles', 'grant a role of another tenant', count(*)
from rbac.group_roles x
join tenant.groups g on g.id = x.group_id and g.tenant_id = x.tenant_id
join rbac.roles r on r.id = x.role_id
where r.tenant_id <> x.tenant_id
union all
select 'rbac.user_roles', 'name a user that does not exist', count(*)
from rbac.user_roles x
where not exists (select from "user".users u where u.id = x.user_id)
union all
select 'rbac.user_roles', 'grant a role of another tenant', count(*)
from rbac.user_roles x
join rbac.roles r on r.id = x.role_id
join "user".users u on u.id = x.user_id
where r.tenant_id <> x.tenant_id
union all
select 'rbac.permissions', 'have an empty key', count(*)
from rbac.permissions where key = ''
union all
select '"user".users', 'have an empty e-mail', count(*)
from "user".users where email = ''
union all
select 'tenant.tenants', 'have an empty slug', count(*)
from tenant.tenants where slug = ''
union all
select 'rbac.roles', 'have an empty name', count(*)
from rbac.roles where name = ''
union all
select 'tenant.groups', 'have an empty name', count(*)
from tenant.groups where name = '';
