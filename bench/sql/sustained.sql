-- Ever new changes; `number` goes up with each statement, `many` at a time.

-- name: joined
INSERT INTO tenant.group_members (tenant_id, user_id, group_id)
SELECT md5('tenant')::uuid, md5('user' || 1 + (%(number)s * %(many)s + n) %% %(users)s)::uuid,
    md5('probed')::uuid
FROM generate_series(0, %(many)s - 1) AS n
ON CONFLICT DO NOTHING

-- name: left
DELETE FROM tenant.group_members
WHERE group_id = md5('probed')::uuid AND user_id IN (
    SELECT md5('user' || 1 + (%(number)s * %(many)s + n) %% %(users)s)::uuid
    FROM generate_series(0, %(many)s - 1) AS n
)

-- name: committed
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint

-- name: holders
SELECT count(DISTINCT user_id) FROM (
    SELECT user_id FROM tenant.group_members WHERE group_id = md5('probed')::uuid
    UNION ALL
    SELECT user_id FROM rbac.user_roles WHERE role_id = md5('probing')::uuid
    UNION ALL
    SELECT id FROM auth.agents WHERE 'bench:probe' = ANY (scopes)
) AS holding (user_id)
