-- What is taken away and given back; `session` is a session of the round.

-- name: role_taken
DELETE FROM rbac.user_roles WHERE user_id = md5('direct')::uuid

-- name: role_given
INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)
VALUES (md5('tenant')::uuid, md5('direct')::uuid, md5('probing')::uuid)

-- name: membership_taken
DELETE FROM tenant.group_members WHERE user_id = md5('member')::uuid

-- name: membership_given
INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
VALUES (md5('tenant')::uuid, md5('member')::uuid, md5('probed')::uuid)

-- name: group_taken
DELETE FROM tenant.groups WHERE id = md5('probed')::uuid

-- name: group_given
WITH made AS (
    INSERT INTO tenant.groups (id, tenant_id, name)
    VALUES (md5('probed')::uuid, md5('tenant')::uuid, 'probed')
    RETURNING id, tenant_id
), carrying AS (
    INSERT INTO rbac.group_roles (tenant_id, group_id, role_id)
    SELECT tenant_id, id, md5('probing')::uuid FROM made
)
INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
SELECT tenant_id, md5('member')::uuid, id FROM made

-- name: session_taken
UPDATE auth.sessions SET revoked_at = now() WHERE id = %(session)s

-- name: session_given
INSERT INTO auth.sessions (id, user_id, tenant_id)
VALUES (%(session)s, md5('direct')::uuid, md5('tenant')::uuid)

-- name: api_key_taken
UPDATE auth.api_keys SET revoked_at = now() WHERE id = md5('key')::uuid

-- name: api_key_given
UPDATE auth.api_keys SET revoked_at = NULL WHERE id = md5('key')::uuid

-- name: user_taken
UPDATE "user".users SET status = 'suspended' WHERE id = md5('direct')::uuid

-- name: user_given
UPDATE "user".users SET status = 'active' WHERE id = md5('direct')::uuid

-- name: tenant_taken
UPDATE tenant.tenants SET status = 'suspended' WHERE id = md5('tenant')::uuid

-- name: tenant_given
UPDATE tenant.tenants SET status = 'active' WHERE id = md5('tenant')::uuid

-- name: agent_taken
UPDATE auth.agents SET status = 'suspended' WHERE id = md5('agent')::uuid

-- name: agent_given
UPDATE auth.agents SET status = 'active' WHERE id = md5('agent')::uuid

-- name: other_given
INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
VALUES (md5('tenant')::uuid, md5('user' || %(number)s)::uuid, md5('group999')::uuid)
ON CONFLICT DO NOTHING

-- name: other_taken
DELETE FROM tenant.group_members
WHERE user_id = md5('user' || %(number)s)::uuid AND group_id = md5('group999')::uuid
