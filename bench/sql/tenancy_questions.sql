-- A thousand users of `tenancies.sql` with a key each, half of them one of a group's.

WITH given AS (
    SELECT current_setting('bench.tenants')::int AS tenants,
        current_setting('bench.users')::int AS users
), chosen AS (
    SELECT n::bigint * 7919 % users AS n, tenants FROM given, generate_series(1, 1000) AS n
), asked AS (
    SELECT md5('user' || n)::uuid AS user_id, md5('tenant' || n % tenants)::uuid AS tenant_id,
        COALESCE(CASE WHEN n % 2 = 0 THEN (
            SELECT min(key) FROM tenant.group_members AS member
            JOIN rbac.group_roles USING (tenant_id, group_id)
            JOIN rbac.role_permissions USING (role_id)
            JOIN rbac.permissions AS granted ON granted.id = permission_id
            WHERE member.user_id = md5('user' || n)::uuid
                AND member.tenant_id = md5('tenant' || n % tenants)::uuid
        ) END, 'resource' || n * 13 % 2000 || ':read') AS key
    FROM chosen
)
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
FROM asked
