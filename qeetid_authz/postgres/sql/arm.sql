-- The triggers and the reader's rights, made anew: run by every migration.

DROP TRIGGER IF EXISTS qeetid_authz_rows ON rbac.permissions;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON rbac.permissions;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.permissions
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('permission');
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.permissions
    FOR EACH ROW WHEN ((OLD.id, OLD.key) IS DISTINCT FROM (NEW.id, NEW.key))
    EXECUTE FUNCTION qeetid_authz.log_thing('permission');

DROP TRIGGER IF EXISTS qeetid_authz_rows ON rbac.roles;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON rbac.roles;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.roles
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('role');
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.roles
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.name)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.name))
    EXECUTE FUNCTION qeetid_authz.log_thing('role');

DROP TRIGGER IF EXISTS qeetid_authz_rows ON tenant.groups;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON tenant.groups;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.groups
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('group');
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.groups
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.name)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.name))
    EXECUTE FUNCTION qeetid_authz.log_thing('group');

DROP TRIGGER IF EXISTS qeetid_authz_rows ON tenant.tenants;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON tenant.tenants;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.tenants
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('tenant');
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.tenants
    FOR EACH ROW WHEN ((OLD.id, OLD.status, OLD.deleted_at IS NULL)
        IS DISTINCT FROM (NEW.id, NEW.status, NEW.deleted_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('tenant');

DROP TRIGGER IF EXISTS qeetid_authz_rows ON "user".users;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON "user".users;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON "user".users
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('user');
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON "user".users
    FOR EACH ROW WHEN ((OLD.id, OLD.status, OLD.deleted_at IS NULL)
        IS DISTINCT FROM (NEW.id, NEW.status, NEW.deleted_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('user');

DROP TRIGGER IF EXISTS qeetid_authz_rows ON auth.api_keys;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON auth.api_keys;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON auth.api_keys
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('api_key');
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON auth.api_keys
    FOR EACH ROW WHEN (
        (OLD.id, OLD.tenant_id, OLD.user_id, OLD.prefix, OLD.key_hash, OLD.scopes,
         OLD.expires_at, OLD.revoked_at IS NULL)
        IS DISTINCT FROM
        (NEW.id, NEW.tenant_id, NEW.user_id, NEW.prefix, NEW.key_hash, NEW.scopes,
         NEW.expires_at, NEW.revoked_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('api_key');

DROP TRIGGER IF EXISTS qeetid_authz_rows ON rbac.role_permissions;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON rbac.role_permissions;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.role_permissions
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_role_permission();
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.role_permissions
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION qeetid_authz.log_role_permission();

DROP TRIGGER IF EXISTS qeetid_authz_rows ON rbac.user_roles;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON rbac.user_roles;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.user_roles
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_user_role();
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.user_roles
    FOR EACH ROW WHEN ((OLD.user_id, OLD.tenant_id, OLD.role_id)
        IS DISTINCT FROM (NEW.user_id, NEW.tenant_id, NEW.role_id))
    EXECUTE FUNCTION qeetid_authz.log_user_role();

DROP TRIGGER IF EXISTS qeetid_authz_rows ON tenant.group_members;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON tenant.group_members;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.group_members
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_group_member();
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.group_members
    FOR EACH ROW WHEN ((OLD.group_id, OLD.user_id, OLD.tenant_id)
        IS DISTINCT FROM (NEW.group_id, NEW.user_id, NEW.tenant_id))
    EXECUTE FUNCTION qeetid_authz.log_group_member();

DROP TRIGGER IF EXISTS qeetid_authz_rows ON rbac.group_roles;
DROP TRIGGER IF EXISTS qeetid_authz_updates ON rbac.group_roles;
CREATE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.group_roles
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_group_role();
CREATE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.group_roles
    FOR EACH ROW WHEN ((OLD.group_id, OLD.role_id, OLD.tenant_id)
        IS DISTINCT FROM (NEW.group_id, NEW.role_id, NEW.tenant_id))
    EXECUTE FUNCTION qeetid_authz.log_group_role();

-- A connection that replays changes for a replication peer must not skip them.
DO $$
DECLARE
    source text;
BEGIN
    FOR source IN SELECT relation FROM qeetid_authz.sources LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER qeetid_authz_rows', source);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER qeetid_authz_updates', source);
        EXECUTE format('GRANT SELECT ON %s TO qeetid_authz_reader', source);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA rbac, tenant, "user", auth, qeetid_authz TO qeetid_authz_reader;
GRANT SELECT ON qeetid_authz.meta, qeetid_authz.change_log, qeetid_authz.sources
    TO qeetid_authz_reader;
GRANT EXECUTE ON FUNCTION qeetid_authz.incarnation, qeetid_authz.coverage
    TO qeetid_authz_reader;
