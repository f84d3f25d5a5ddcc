-- The semantics as SQL statements of the tests' own, straight over the tables.

-- name: mirror
-- Every grant that Qeet ID's check counts (facts, section 2): tenant, user, key.
SELECT ur.tenant_id, ur.user_id, p.key
FROM rbac.user_roles ur
JOIN rbac.role_permissions rp USING (role_id)
JOIN rbac.permissions p ON p.id = rp.permission_id
UNION
SELECT gm.tenant_id, gm.user_id, p.key
FROM tenant.group_members gm
JOIN rbac.group_roles gr ON gr.group_id = gm.group_id AND gr.tenant_id = gm.tenant_id
JOIN rbac.role_permissions rp USING (role_id)
JOIN rbac.permissions p ON p.id = rp.permission_id;

-- name: strict
-- The same among active tenants, those who may act there, and roles and groups at home;
-- and the scopes that a tenant's service principals and agents are registered with.
WITH open AS (
    SELECT id FROM tenant.tenants WHERE status = 'active' AND deleted_at IS NULL
), machine AS (
    SELECT tenant_id, id, scopes FROM auth.service_principals
    WHERE disabled_at IS NULL
    UNION ALL
    SELECT tenant_id, id, scopes FROM auth.agents
    WHERE disabled_at IS NULL AND status = 'active'
), person AS (
    SELECT id FROM "user".users
    WHERE status IN ('active', 'invited') AND deleted_at IS NULL
), granting AS (
    SELECT r.id AS role_id, r.tenant_id, p.key
    FROM rbac.roles r
    JOIN rbac.role_permissions rp ON rp.role_id = r.id
    JOIN rbac.permissions p ON p.id = rp.permission_id
), granted AS (
    SELECT ur.tenant_id, ur.user_id, key
    FROM rbac.user_roles ur
    JOIN granting USING (role_id, tenant_id)
    UNION
    SELECT gm.tenant_id, gm.user_id, key
    FROM tenant.group_members gm
    JOIN tenant.groups g ON g.id = gm.group_id AND g.tenant_id = gm.tenant_id
    JOIN rbac.group_roles gr ON gr.group_id = g.id AND gr.tenant_id = g.tenant_id
    JOIN granting USING (role_id)
    WHERE granting.tenant_id = gm.tenant_id
)
SELECT tenant_id, user_id, key FROM granted
WHERE tenant_id IN (SELECT id FROM open)
    AND (user_id IN (SELECT id FROM person)
        OR (tenant_id, user_id) IN (SELECT tenant_id, id FROM machine))
UNION
SELECT tenant_id, id, unnest(scopes) FROM machine
WHERE tenant_id IN (SELECT id FROM open);

-- name: mirror_explained
-- Qeet ID's explain, whose group arm also joins the group's tenant (fact 0.2).
SELECT ur.tenant_id, ur.user_id, p.key, r.name, NULL AS group_name
FROM rbac.user_roles ur
JOIN rbac.roles r ON r.id = ur.role_id
JOIN rbac.role_permissions rp ON rp.role_id = r.id
JOIN rbac.permissions p ON p.id = rp.permission_id
UNION ALL
SELECT gm.tenant_id, gm.user_id, p.key, r.name, g.name
FROM tenant.group_members gm
JOIN tenant.groups g ON g.id = gm.group_id AND g.tenant_id = gm.tenant_id
JOIN rbac.group_roles gr ON gr.group_id = gm.group_id AND gr.tenant_id = gm.tenant_id
JOIN rbac.roles r ON r.id = gr.role_id
JOIN rbac.role_permissions rp ON rp.role_id = r.id
JOIN rbac.permissions p ON p.id = rp.permission_id;

-- name: asked
-- Questions to be answered one by one, where everything would be too much.
CREATE TEMP TABLE asked (at int, tenant_id uuid, user_id uuid, key text);

-- name: strict_answers
-- The strict answers to the questions asked, in order.
SELECT u.id IS NOT NULL AND t.id IS NOT NULL AND (EXISTS (
    SELECT FROM rbac.user_roles ur
    JOIN rbac.roles r ON r.id = ur.role_id AND r.tenant_id = ur.tenant_id
    JOIN rbac.role_permissions rp ON rp.role_id = r.id AND rp.permission_id = p.id
    WHERE ur.user_id = asked.user_id AND ur.tenant_id = asked.tenant_id
) OR EXISTS (
    SELECT FROM tenant.group_members gm
    JOIN tenant.groups g ON g.id = gm.group_id AND g.tenant_id = gm.tenant_id
    JOIN rbac.group_roles gr ON gr.group_id = g.id AND gr.tenant_id = g.tenant_id
    JOIN rbac.roles r ON r.id = gr.role_id AND r.tenant_id = gr.tenant_id
    JOIN rbac.role_permissions rp ON rp.role_id = r.id AND rp.permission_id = p.id
    WHERE gm.user_id = asked.user_id AND gm.tenant_id = asked.tenant_id
))
FROM asked
LEFT JOIN rbac.permissions p USING (key)
LEFT JOIN "user".users u ON u.id = asked.user_id AND u.deleted_at IS NULL
    AND u.status IN ('active', 'invited')
LEFT JOIN tenant.tenants t ON t.id = asked.tenant_id AND t.deleted_at IS NULL
    AND t.status = 'active'
ORDER BY at;
