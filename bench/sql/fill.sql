-- One tenant with `bench.users` users, each in three of 1,000 groups that carry two of
-- 200 roles each, over 2,000 permissions.

INSERT INTO tenant.tenants (id, slug, name)
VALUES (md5('tenant')::uuid, 'bench', 'Bench');

INSERT INTO "user".users (id, email)
SELECT md5('user' || n)::uuid, 'user' || n || '@bench.test'
FROM generate_series(1, current_setting('bench.users')::int) AS n;

INSERT INTO rbac.permissions (id, key)
SELECT md5('permission' || n)::uuid, 'resource' || n || ':read'
FROM generate_series(0, 1999) AS n;

INSERT INTO rbac.roles (id, tenant_id, name)
SELECT md5('role' || n)::uuid, md5('tenant')::uuid, 'role ' || n
FROM generate_series(0, 199) AS n;

INSERT INTO rbac.role_permissions (role_id, permission_id)
SELECT md5('role' || n)::uuid, md5('permission' || (n * 37 + m * 7) % 2000)::uuid
FROM generate_series(0, 199) AS n, generate_series(1, 20) AS m;

INSERT INTO tenant.groups (id, tenant_id, name)
SELECT md5('group' || n)::uuid, md5('tenant')::uuid, 'group ' || n
FROM generate_series(0, 999) AS n;

INSERT INTO rbac.group_roles (tenant_id, group_id, role_id)
SELECT md5('tenant')::uuid, md5('group' || n)::uuid, md5('role' || (n * 3 + m) % 200)::uuid
FROM generate_series(0, 999) AS n, generate_series(0, 1) AS m;

INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
SELECT md5('tenant')::uuid, md5('user' || n)::uuid,
    md5('group' || (n % 1000 + m * (1 + n / 1000 % 300)) % 1000)::uuid
FROM generate_series(1, current_setting('bench.users')::int) AS n,
    generate_series(0, 2) AS m;

INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)
SELECT md5('tenant')::uuid, md5('user' || n)::uuid, md5('role' || n % 200)::uuid
FROM generate_series(20, current_setting('bench.users')::int, 20) AS n;

VACUUM ANALYZE;
