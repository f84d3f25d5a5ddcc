-- Who else may act, which sessions ended, who may ask about tokens, and from where.

-- Whether a tenant heeds its IP rules: the tenant is the key.
CREATE FUNCTION qeetid_authz.log_ip_config() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO qeetid_authz.change_log (entity, subject)
        VALUES ('ip_config', OLD.tenant_id);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.tenant_id <> OLD.tenant_id THEN
        INSERT INTO qeetid_authz.change_log (entity, subject)
        VALUES ('ip_config', NEW.tenant_id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE VIEW qeetid_authz.sources AS
SELECT relation, to_regclass(relation) AS relid FROM (VALUES
    ('rbac.permissions'), ('rbac.roles'), ('rbac.role_permissions'),
    ('rbac.user_roles'), ('rbac.group_roles'), ('tenant.groups'),
    ('tenant.group_members'), ('tenant.tenants'), ('"user".users'),
    ('auth.api_keys'), ('auth.service_principals'), ('auth.agents'),
    ('auth.sessions'), ('auth.oidc_clients'), ('tenant.ip_rules'),
    ('tenant.ip_rules_config')
) AS source (relation);

ALTER FUNCTION qeetid_authz.log_ip_config OWNER TO qeetid_authz_owner;

-- Whoever has got a right by default, as PUBLIC has, is to have none.
DO $$
DECLARE
    holder oid;
BEGIN
    FOR holder IN
        SELECT DISTINCT grantee
        FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
        WHERE p.oid = 'qeetid_authz.log_ip_config()'::regprocedure
        AND grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION qeetid_authz.log_ip_config FROM %s',
            CASE WHEN holder = 0 THEN 'PUBLIC' ELSE holder::regrole::text END);
    END LOOP;
END $$;
