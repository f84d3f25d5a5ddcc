-- A thousand users with a key each, half of them one that a group of theirs has.

SELECT asked.user_id, asked.tenant_id, asked.key, EXISTS (
    SELECT FROM rbac.user_roles AS held
    JOIN rbac.role_permissions USING (role_id)
    JOIN rbac.permissions AS granted ON granted.id = permission_id
    WHERE held.user_id = asked.user_id AND held.tenant_id = asked.tenant_id
        AND granted.key = asked.key
) OR EXISTS (
    SELECT FROM tenant.group_members AS member
    JOIN rbac.group_roles AS carried USING (tenant_id, group_id)
    JOIN rbac.role_permissions USING (role_id)
    JOIN rbac.permissions AS granted ON granted.id = permission_id
    WHERE member.user_id = asked.user_id AND member.tenant_id = asked.tenant_id
        AND granted.key = asked.key
)
FROM (
    SELECT md5('user' || n)::uuid, md5('tenant')::uuid,
        CASE WHEN n % 2 = 0
            THEN 'resource' || (n % 1000 * 3 % 200 * 37 + 7) % 2000 || ':read'
            ELSE 'resource' || n * 13 % 2000 || ':read'
        END
    FROM generate_series(1, 1000) AS n
) AS asked (user_id, tenant_id, key)
