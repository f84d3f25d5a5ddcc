-- What is written while everything soaks, at random, and what is true at the end.

-- name: joined
INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
SELECT md5('tenant')::uuid, md5('user' || 1 + floor(random() * %(users)s)::int)::uuid,
    md5('probed')::uuid
FROM generate_series(1, %(many)s)
ON CONFLICT DO NOTHING

-- name: left
DELETE FROM tenant.group_members
WHERE group_id = md5('probed')::uuid AND user_id IN (
    SELECT md5('user' || 1 + floor(random() * %(users)s)::int)::uuid
    FROM generate_series(1, %(users)s / 100)
)

-- name: suspended
UPDATE "user".users
SET status = CASE status WHEN 'active' THEN 'suspended' ELSE 'active' END
WHERE id = (SELECT md5('user' || 1 + floor(random() * %(users)s)::int)::uuid)

-- name: granted
INSERT INTO rbac.role_permissions (role_id, permission_id)
SELECT md5('role' || floor(random() * 200)::int)::uuid,
    md5('permission' || floor(random() * 2000)::int)::uuid
ON CONFLICT DO NOTHING

-- name: withdrawn
DELETE FROM rbac.role_permissions
WHERE (role_id, permission_id) IN (
    SELECT role_id, permission_id FROM rbac.role_permissions
    WHERE role_id = (SELECT md5('role' || floor(random() * 200)::int)::uuid)
    ORDER BY random() LIMIT 1
)

-- name: disconnect
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = 'qeetid-authz' AND datname = current_database()

-- A rewritten table looks like one that was truncated, so all is loaded anew.
-- name: rewrite
VACUUM FULL tenant.ip_rules

-- name: token
SELECT qeetid_authz.revision_token()

-- Who of some users holds what, under strict semantics; all is of one active tenant.
-- name: held
WITH carried AS (
    SELECT user_id, role_id FROM rbac.user_roles
    UNION
    SELECT user_id, role_id FROM tenant.group_members JOIN rbac.group_roles USING (group_id)
)
SELECT DISTINCT user_id, key
FROM carried
JOIN "user".users ON users.id = user_id AND users.status IN ('active', 'invited')
JOIN rbac.role_permissions USING (role_id)
JOIN rbac.permissions ON permissions.id = permission_id
WHERE user_id = ANY (%(users)s::uuid[])
