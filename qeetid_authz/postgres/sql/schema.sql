-- name: is_empty
-- Whether the database holds none of the schemas that Qeet ID lives in.
SELECT NOT EXISTS (
    SELECT FROM pg_namespace
    WHERE nspname IN ('tenant', 'user', 'rbac', 'auth')
);

-- name: differences
-- Each table or column that is read here and is missing or of another type.
-- Only an ordinary table tells of its changes by triggers, and of its truncation.
SELECT expected.relation, expected.attribute, expected.type,
    relation.relkind = 'r' AS is_ordinary,
    format_type(found.atttypid, found.atttypmod) AS found_type
FROM (VALUES
    ('rbac.permissions', 'id', 'uuid'),
    ('rbac.permissions', 'key', 'text'),
    ('rbac.permissions', 'description', 'text'),
    ('rbac.roles', 'id', 'uuid'),
    ('rbac.roles', 'tenant_id', 'uuid'),
    ('rbac.roles', 'name', 'text'),
    ('rbac.roles', 'description', 'text'),
    ('rbac.role_permissions', 'role_id', 'uuid'),
    ('rbac.role_permissions', 'permission_id', 'uuid'),
    ('rbac.user_roles', 'user_id', 'uuid'),
    ('rbac.user_roles', 'tenant_id', 'uuid'),
    ('rbac.user_roles', 'role_id', 'uuid'),
    ('rbac.group_roles', 'group_id', 'uuid'),
    ('rbac.group_roles', 'role_id', 'uuid'),
    ('rbac.group_roles', 'tenant_id', 'uuid'),
    ('tenant.groups', 'id', 'uuid'),
    ('tenant.groups', 'tenant_id', 'uuid'),
    ('tenant.groups', 'name', 'text'),
    ('tenant.group_members', 'group_id', 'uuid'),
    ('tenant.group_members', 'user_id', 'uuid'),
    ('tenant.group_members', 'tenant_id', 'uuid'),
    ('tenant.tenants', 'id', 'uuid'),
    ('tenant.tenants', 'slug', 'text'),
    ('tenant.tenants', 'name', 'text'),
    ('tenant.tenants', 'status', 'text'),
    ('tenant.tenants', 'deleted_at', 'timestamp with time zone'),
    ('"user".users', 'id', 'uuid'),
    ('"user".users', 'email', 'text'),
    ('"user".users', 'display_name', 'text'),
    ('"user".users', 'status', 'text'),
    ('"user".users', 'deleted_at', 'timestamp with time zone'),
    ('auth.api_keys', 'id', 'uuid'),
    ('auth.api_keys', 'tenant_id', 'uuid'),
    ('auth.api_keys', 'user_id', 'uuid'),
    ('auth.api_keys', 'prefix', 'text'),
    ('auth.api_keys', 'key_hash', 'text'),
    ('auth.api_keys', 'scopes', 'text[]'),
    ('auth.api_keys', 'expires_at', 'timestamp with time zone'),
    ('auth.api_keys', 'revoked_at', 'timestamp with time zone'),
    ('auth.service_principals', 'id', 'uuid'),
    ('auth.service_principals', 'tenant_id', 'uuid'),
    ('auth.service_principals', 'scopes', 'text[]'),
    ('auth.service_principals', 'disabled_at', 'timestamp with time zone'),
    ('auth.agents', 'id', 'uuid'),
    ('auth.agents', 'tenant_id', 'uuid'),
    ('auth.agents', 'scopes', 'text[]'),
    ('auth.agents', 'disabled_at', 'timestamp with time zone'),
    ('auth.agents', 'status', 'text'),
    ('auth.sessions', 'id', 'uuid'),
    ('auth.sessions', 'user_id', 'uuid'),
    ('auth.sessions', 'tenant_id', 'uuid'),
    ('auth.sessions', 'revoked_at', 'timestamp with time zone'),
    ('auth.refresh_tokens', 'token_hash', 'text'),
    ('auth.refresh_tokens', 'session_id', 'uuid'),
    ('auth.refresh_tokens', 'issued_at', 'timestamp with time zone'),
    ('auth.refresh_tokens', 'expires_at', 'timestamp with time zone'),
    ('auth.refresh_tokens', 'used_at', 'timestamp with time zone'),
    ('auth.oidc_clients', 'id', 'uuid'),
    ('auth.oidc_clients', 'tenant_id', 'uuid'),
    ('auth.oidc_clients', 'client_id', 'text'),
    ('auth.oidc_clients', 'client_secret_hash', 'text'),
    ('auth.oidc_clients', 'type', 'text'),
    ('auth.oidc_refresh_tokens', 'token_hash', 'text'),
    ('auth.oidc_refresh_tokens', 'client_id', 'text'),
    ('auth.oidc_refresh_tokens', 'user_id', 'uuid'),
    ('auth.oidc_refresh_tokens', 'tenant_id', 'uuid'),
    ('auth.oidc_refresh_tokens', 'scopes', 'text[]'),
    ('auth.oidc_refresh_tokens', 'issued_at', 'timestamp with time zone'),
    ('auth.oidc_refresh_tokens', 'expires_at', 'timestamp with time zone'),
    ('auth.oidc_refresh_tokens', 'used_at', 'timestamp with time zone'),
    ('auth.oidc_refresh_tokens', 'revoked_at', 'timestamp with time zone'),
    ('tenant.ip_rules', 'id', 'uuid'),
    ('tenant.ip_rules', 'tenant_id', 'uuid'),
    ('tenant.ip_rules', 'cidr', 'text'),
    ('tenant.ip_rules', 'action', 'text'),
    ('tenant.ip_rules', 'label', 'text'),
    ('tenant.ip_rules_config', 'tenant_id', 'uuid'),
    ('tenant.ip_rules_config', 'enabled', 'boolean')
) AS expected (relation, attribute, type)
LEFT JOIN pg_class relation ON relation.oid = to_regclass(expected.relation)
LEFT JOIN pg_attribute found
    ON found.attrelid = relation.oid
    AND found.attname = expected.attribute
    AND NOT found.attisdropped
WHERE format_type(found.atttypid, found.atttypmod) IS DISTINCT FROM expected.type
    OR relation.relkind <> 'r'
ORDER BY expected.relation, expected.attribute;

-- name: is_installed
-- Whether our schema is there.
SELECT to_regclass('qeetid_authz.meta') IS NOT NULL;

-- name: version
-- Which version of it.
SELECT version FROM qeetid_authz.meta;

-- name: set_version
-- Record the version that the migrations have led to.
UPDATE qeetid_authz.meta SET version = %s;

-- name: coverage
-- The triggers that are missing or disabled.
SELECT disarmed FROM qeetid_authz.coverage();

-- name: prune
-- Forget what is old, and what a restored dump brought of another server.
SELECT qeetid_authz.prune();

-- name: try_lock
-- Keep a second migration of this database out until this transaction ends.
SELECT pg_try_advisory_xact_lock(hashtextextended('qeetid_authz migrate', 0));

-- name: limit_lock
-- Triggers need a lock on their tables, which long transactions may hold.
SET LOCAL lock_timeout = '10s';
