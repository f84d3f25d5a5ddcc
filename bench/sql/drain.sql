-- What an authorizer reads, row by row.

COPY (SELECT id, slug, status, deleted_at FROM tenant.tenants) TO STDOUT;

COPY (SELECT id, status, deleted_at FROM "user".users) TO STDOUT;

COPY (SELECT id, key FROM rbac.permissions) TO STDOUT;

COPY (SELECT id, tenant_id, name FROM rbac.roles) TO STDOUT;

COPY (SELECT id, tenant_id, name FROM tenant.groups) TO STDOUT;

COPY (SELECT role_id, permission_id FROM rbac.role_permissions) TO STDOUT;

COPY (SELECT tenant_id, user_id, role_id FROM rbac.user_roles) TO STDOUT;

COPY (SELECT tenant_id, user_id, group_id FROM tenant.group_members) TO STDOUT;

COPY (SELECT tenant_id, group_id, role_id FROM rbac.group_roles) TO STDOUT;
