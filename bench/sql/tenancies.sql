-- `bench.tenants` tenants, `bench.users` users and `bench.groups` groups in all, dealt
-- to the tenants in turn, and `bench.roles` roles in each; a user is in three groups
-- of its tenant, which has at least three, a group carries two roles, a role has 20 of 2,000 permissions.
-- Run before our triggers are installed: they would note every row.

SET session_replication_role = replica;

INSERT INTO tenant.tenants (id, slug, name)
SELECT md5('tenant' || n)::uuid, 'bench-' || n, 'Bench ' || n
FROM generate_series(0, current_setting('bench.tenants')::int - 1) AS n;

INSERT INTO "user".users (id, email)
SELECT md5('user' || n)::uuid, 'user' || n || '@bench.test'
FROM generate_series(0, current_setting('bench.users')::int - 1) AS n;

INSERT INTO rbac.permissions (id, key)
SELECT md5('permission' || n)::uuid, 'resource' || n || ':read'
FROM generate_series(0, 1999) AS n;

INSERT INTO rbac.roles (id, tenant_id, name)
SELECT md5('role' || t || '/' || n)::uuid, md5('tenant' || t)::uuid, 'role ' || n
FROM generate_series(0, current_setting('bench.tenants')::int - 1) AS t,
    generate_series(0, current_setting('bench.roles')::int - 1) AS n;

INSERT INTO rbac.role_permissions (role_id, permission_id)
SELECT md5('role' || t || '/' || n)::uuid,
    md5('permission' || (n * 37 + m * 7) % 2000)::uuid
FROM generate_series(0, current_setting('bench.tenants')::int - 1) AS t,
    generate_series(0, current_setting('bench.roles')::int - 1) AS n,
    generate_series(1, 20) AS m;

INSERT INTO tenant.groups (id, tenant_id, name)
SELECT md5('group' || n)::uuid,
    md5('tenant' || n % current_setting('bench.tenants')::int)::uuid, 'group ' || n
FROM generate_series(0, current_setting('bench.groups')::int - 1) AS n;

INSERT INTO rbac.group_roles (tenant_id, group_id, role_id)
SELECT md5('tenant' || t)::uuid, md5('group' || n)::uuid,
    md5('role' || t || '/' || (n / tenants * 3 + m) % roles)::uuid
FROM (
    SELECT n, n % tenants AS t, tenants, roles
    FROM (
        SELECT current_setting('bench.tenants')::int, current_setting('bench.roles')::int
    ) AS given (tenants, roles),
    generate_series(0, current_setting('bench.groups')::int - 1) AS n
) AS numbered,
generate_series(0, 1) AS m
ON CONFLICT DO NOTHING;

INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
SELECT md5('tenant' || t)::uuid, md5('user' || n)::uuid,
    md5('group' || t + tenants * ((n / tenants + m * (1 + n / groups % least(4, each / 2))) % each))::uuid
FROM (
    SELECT n, n % tenants AS t, tenants, groups, groups / tenants AS each
    FROM (
        SELECT current_setting('bench.tenants')::int, current_setting('bench.groups')::int
    ) AS given (tenants, groups),
    generate_series(0, current_setting('bench.users')::int - 1) AS n
) AS numbered,
generate_series(0, 2) AS m;

INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)
SELECT md5('tenant' || t)::uuid, md5('user' || n)::uuid,
    md5('role' || t || '/' || n % current_setting('bench.roles')::int)::uuid
FROM (
    SELECT n, n % current_setting('bench.tenants')::int AS t
    FROM generate_series(0, current_setting('bench.users')::int - 1, 20) AS n
) AS numbered;

SET session_replication_role = origin;

VACUUM ANALYZE;
