-- The question as the hosted server asks its database: through the user's own roles or
-- through those of groups in the same tenant.

-- name: check
SELECT EXISTS (
    SELECT FROM rbac.user_roles AS held
    JOIN rbac.role_permissions USING (role_id)
    JOIN rbac.permissions AS granted ON granted.id = permission_id
    WHERE held.user_id = %(user)s AND held.tenant_id = %(tenant)s
        AND granted.key = %(permission)s
) OR EXISTS (
    SELECT FROM tenant.group_members AS member
    JOIN rbac.group_roles AS carried USING (tenant_id, group_id)
    JOIN rbac.role_permissions USING (role_id)
    JOIN rbac.permissions AS granted ON granted.id = permission_id
    WHERE member.user_id = %(user)s AND member.tenant_id = %(tenant)s
        AND granted.key = %(permission)s
)
