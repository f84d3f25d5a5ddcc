-- name: look
-- The snapshot, whether the feed can be trusted in it, and whether there may be news.
SELECT snapshot, incarnation, version, floor, disarmed, fingerprint, now, news
FROM qeetid_authz.look(%(xmax)s::text::xid8, %(running)s::text[]::xid8[]);

-- name: begin
-- A poll that reads facts is one short transaction with one snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: limit_lock
-- A poll must not wait long behind DDL.
SET LOCAL lock_timeout = '2s';

-- name: limit_statement
-- No statement takes as long; one whose replica has gone meanwhile ends by itself.
SET LOCAL statement_timeout = '5min';

-- name: forbid_jit
-- Compiling a query takes longer than any of these runs.
SET LOCAL jit = off;

-- name: prefer_index
-- Statistics of a log that was empty when last analysed would choose a full scan.
SET LOCAL enable_seqscan = off;

-- name: allow_scan
-- Loading everything reads tables from end to end.
SET LOCAL enable_seqscan = on;

-- name: lock
-- Before the snapshot: TRUNCATE and rewriting DDL aren't transactional for readers.
LOCK TABLE rbac.permissions, rbac.roles, rbac.role_permissions, rbac.user_roles,
    rbac.group_roles, tenant.groups, tenant.group_members, tenant.tenants,
    "user".users, auth.api_keys, auth.service_principals, auth.agents, auth.sessions,
    auth.oidc_clients, tenant.ip_rules, tenant.ip_rules_config, qeetid_authz.change_log
IN ACCESS SHARE MODE;

-- name: probe
-- The snapshot, and whether the feed can be trusted in it.
SELECT pg_current_snapshot()::text,
    CASE WHEN NOT pg_is_in_recovery() THEN qeetid_authz.incarnation() END,
    meta.version, meta.floor::text::bigint, coverage.disarmed, coverage.fingerprint,
    extract(epoch FROM clock_timestamp())::double precision
FROM qeetid_authz.meta, qeetid_authz.coverage();

-- name: declare_diff
-- The keys that transactions in this snapshot and not in the former one touched, as
-- text: they go back as they came, and the collector of garbage passes text by.
DECLARE diff NO SCROLL CURSOR FOR
SELECT DISTINCT entity, tenant_id::text, subject::text, object::text
FROM qeetid_authz.change_log
WHERE xid >= %(xmax)s::text::xid8 OR xid = ANY(%(running)s::text[]::xid8[])
LIMIT %(limit)s;

-- name: fetch_diff
-- So many that reading them keeps an event loop from other work for a moment only.
FETCH 2000 FROM diff;

-- name: commit
-- The end of a poll.
COMMIT;

-- name: rollback
-- The end of a poll that failed.
ROLLBACK;

-- name: version
-- Of our schema, which a reader may ask for whatever else is kept from it.
SELECT version FROM qeetid_authz.meta;

-- name: load_permissions
SELECT uuid_send(id), key FROM rbac.permissions;

-- name: load_roles
SELECT uuid_send(id), uuid_send(tenant_id), name FROM rbac.roles;

-- name: load_groups
SELECT uuid_send(id), uuid_send(tenant_id), name FROM tenant.groups;

-- name: load_tenants
SELECT uuid_send(id), CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END
FROM tenant.tenants;

-- name: load_users
-- By status, the ids of each in one run of bytes, ascending.
SELECT CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END,
    string_agg(uuid_send(id), '' ORDER BY id)
FROM "user".users GROUP BY 1;

-- name: load_role_permissions
-- By role, the permissions of each in one run of bytes.
SELECT uuid_send(role_id), string_agg(uuid_send(permission_id), '')
FROM rbac.role_permissions GROUP BY role_id;

-- name: load_user_roles
-- By tenant, (user, role) pairs in one run of bytes.
SELECT uuid_send(tenant_id), string_agg(uuid_send(user_id) || uuid_send(role_id), '')
FROM rbac.user_roles GROUP BY tenant_id;

-- name: declare_group_members
-- By tenant, for each group its id, how many members it has, and who they are, in one
-- run of bytes. They are most of all there is.
DECLARE group_members NO SCROLL CURSOR FOR
SELECT uuid_send(tenant_id), string_agg(uuid_send(group_id) || members || users, '')
FROM (
    SELECT tenant_id, group_id, int4send(count(*)::int) AS members,
        string_agg(uuid_send(user_id), '') AS users
    FROM tenant.group_members GROUP BY tenant_id, group_id
) AS blocks GROUP BY tenant_id;

-- name: fetch_group_members
-- So many that the client never holds twice what there is.
FETCH 100 FROM group_members;

-- name: load_group_roles
-- By tenant, (group, role) pairs in one run of bytes.
SELECT uuid_send(tenant_id), string_agg(uuid_send(group_id) || uuid_send(role_id), '')
FROM rbac.group_roles GROUP BY tenant_id;

-- name: load_api_keys
SELECT uuid_send(id), uuid_send(tenant_id), uuid_send(user_id), prefix, key_hash,
    ARRAY(SELECT scope FROM unnest(scopes) AS scope WHERE scope IS NOT NULL),
    extract(epoch FROM expires_at)::float8, revoked_at IS NOT NULL
FROM auth.api_keys;

-- name: load_services
SELECT uuid_send(id), uuid_send(tenant_id),
    ARRAY(SELECT scope FROM unnest(scopes) AS scope WHERE scope IS NOT NULL),
    CASE WHEN disabled_at IS NULL THEN 'active' ELSE 'disabled' END
FROM auth.service_principals;

-- name: load_agents
SELECT uuid_send(id), uuid_send(tenant_id),
    ARRAY(SELECT scope FROM unnest(scopes) AS scope WHERE scope IS NOT NULL),
    CASE WHEN disabled_at IS NULL THEN status ELSE 'disabled' END
FROM auth.agents;

-- name: load_revoked_sessions
-- Those whose tokens may still live. One revoked in future, or at no real time, counts
-- as revoked now: a later one would let those before it be forgotten.
SELECT uuid_send(id), extract(epoch FROM CASE
    WHEN revoked_at > clock_timestamp() OR NOT isfinite(revoked_at) THEN clock_timestamp()
    ELSE revoked_at END)::float8 AS since
FROM auth.sessions
WHERE revoked_at > now() - make_interval(secs => %(memory)s)
    OR revoked_at = '-infinity'
ORDER BY since;

-- name: load_clients
SELECT uuid_send(id), uuid_send(tenant_id), client_id, client_secret_hash,
    type = 'public'
FROM auth.oidc_clients;

-- name: load_ip_rules
SELECT uuid_send(id), uuid_send(tenant_id), cidr, action, label FROM tenant.ip_rules;

-- name: load_ip_enforced
SELECT uuid_send(tenant_id) FROM tenant.ip_rules_config WHERE enabled;

-- name: reread_permission
SELECT uuid_send(touched.id), key
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN rbac.permissions USING (id);

-- name: reread_role
SELECT uuid_send(touched.id), uuid_send(tenant_id), name
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN rbac.roles USING (id);

-- name: reread_group
SELECT uuid_send(touched.id), uuid_send(tenant_id), name
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN tenant.groups USING (id);

-- name: reread_tenant
SELECT uuid_send(touched.id),
    CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN tenant.tenants USING (id);

-- name: reread_user
SELECT uuid_send(touched.id),
    CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN "user".users USING (id);

-- name: reread_api_key
SELECT uuid_send(touched.id), uuid_send(tenant_id), uuid_send(user_id), prefix, key_hash,
    ARRAY(SELECT scope FROM unnest(scopes) AS scope WHERE scope IS NOT NULL),
    extract(epoch FROM expires_at)::float8, revoked_at IS NOT NULL
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN auth.api_keys USING (id);

-- name: reread_service
SELECT uuid_send(touched.id), uuid_send(tenant_id),
    ARRAY(SELECT scope FROM unnest(scopes) AS scope WHERE scope IS NOT NULL),
    CASE WHEN disabled_at IS NULL THEN 'active' ELSE 'disabled' END
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN auth.service_principals USING (id);

-- name: reread_agent
SELECT uuid_send(touched.id), uuid_send(tenant_id),
    ARRAY(SELECT scope FROM unnest(scopes) AS scope WHERE scope IS NOT NULL),
    CASE WHEN disabled_at IS NULL THEN status ELSE 'disabled' END
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN auth.agents USING (id);

-- name: reread_session
-- When it was revoked, as `load_revoked_sessions` says it; NULL if it wasn't.
SELECT uuid_send(touched.id), extract(epoch FROM CASE
    WHEN revoked_at > clock_timestamp() OR NOT isfinite(revoked_at) THEN clock_timestamp()
    ELSE revoked_at END)::float8
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN auth.sessions USING (id);

-- name: reread_client
SELECT uuid_send(touched.id), uuid_send(tenant_id), client_id, client_secret_hash,
    type = 'public'
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN auth.oidc_clients USING (id);

-- name: reread_ip_rule
SELECT uuid_send(touched.id), uuid_send(tenant_id), cidr, action, label
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (id)
LEFT JOIN tenant.ip_rules USING (id);

-- name: reread_ip_config
SELECT uuid_send(touched.tenant_id), coalesce(enabled, false)
FROM unnest(%(subjects)s::text[]::uuid[]) AS touched (tenant_id)
LEFT JOIN tenant.ip_rules_config USING (tenant_id);

-- name: reread_role_permission
SELECT uuid_send(subject), uuid_send(object), role_id IS NOT NULL
FROM unnest(%(subjects)s::text[]::uuid[], %(objects)s::text[]::uuid[]) AS touched (subject, object)
LEFT JOIN rbac.role_permissions ON role_id = subject AND permission_id = object;

-- name: reread_user_role
SELECT uuid_send(tenant), uuid_send(subject), uuid_send(object), role_id IS NOT NULL
FROM unnest(%(tenants)s::text[]::uuid[], %(subjects)s::text[]::uuid[], %(objects)s::text[]::uuid[])
    AS touched (tenant, subject, object)
LEFT JOIN rbac.user_roles
    ON user_id = subject AND tenant_id = tenant AND role_id = object;

-- name: reread_group_member
SELECT uuid_send(tenant), uuid_send(subject), uuid_send(object), group_id IS NOT NULL
FROM unnest(%(tenants)s::text[]::uuid[], %(subjects)s::text[]::uuid[], %(objects)s::text[]::uuid[])
    AS touched (tenant, subject, object)
LEFT JOIN tenant.group_members
    ON group_id = object AND user_id = subject AND tenant_id = tenant;

-- name: reread_group_role
SELECT uuid_send(tenant), uuid_send(subject), uuid_send(object), role_id IS NOT NULL
FROM unnest(%(tenants)s::text[]::uuid[], %(subjects)s::text[]::uuid[], %(objects)s::text[]::uuid[])
    AS touched (tenant, subject, object)
LEFT JOIN rbac.group_roles
    ON group_id = subject AND role_id = object AND tenant_id = tenant;
