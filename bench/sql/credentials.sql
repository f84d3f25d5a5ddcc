-- In the tenant of `fill.sql`, somebody for each way to hold a permission and for each
-- kind of credential; the API key and the client have the secret of `bench.secret_hash`.

INSERT INTO rbac.permissions (id, key) VALUES (md5('probe')::uuid, 'bench:probe');

INSERT INTO "user".users (id, email)
SELECT md5(name)::uuid, name || '@bench.test'
FROM unnest(ARRAY['direct', 'member', 'holder']) AS name;

INSERT INTO rbac.roles (id, tenant_id, name)
VALUES (md5('probing')::uuid, md5('tenant')::uuid, 'probing');

INSERT INTO rbac.role_permissions (role_id, permission_id)
VALUES (md5('probing')::uuid, md5('probe')::uuid);

INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)
VALUES (md5('tenant')::uuid, md5('direct')::uuid, md5('probing')::uuid),
    (md5('tenant')::uuid, md5('holder')::uuid, md5('role0')::uuid);

INSERT INTO tenant.groups (id, tenant_id, name)
VALUES (md5('probed')::uuid, md5('tenant')::uuid, 'probed');

INSERT INTO rbac.group_roles (tenant_id, group_id, role_id)
VALUES (md5('tenant')::uuid, md5('probed')::uuid, md5('probing')::uuid);

INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
VALUES (md5('tenant')::uuid, md5('member')::uuid, md5('probed')::uuid);

INSERT INTO auth.agents (id, tenant_id, name, secret_hash, scopes)
SELECT md5('agent')::uuid, md5('tenant')::uuid, 'agent', 'none',
    array_agg('resource' || n * 7 || ':read') || ARRAY['bench:probe']
FROM generate_series(1, 10) AS n;

INSERT INTO auth.api_keys (id, tenant_id, user_id, name, prefix, key_hash)
VALUES (
    md5('key')::uuid, md5('tenant')::uuid, md5('direct')::uuid, 'bench',
    'qk_bench000', current_setting('bench.secret_hash')
);

INSERT INTO auth.oidc_clients (id, tenant_id, client_id, client_secret_hash, type, name)
VALUES (
    md5('client')::uuid, md5('tenant')::uuid, 'bench',
    current_setting('bench.secret_hash'), 'confidential', 'bench'
);
