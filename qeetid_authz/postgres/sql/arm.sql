-- The triggers and everybody's rights, made anew: run by every migration. Replacing
-- a trigger waits for those who write to the table, not for those who read it. Texts are
-- compared by their bytes, whatever equality their collation knows.

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.permissions
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('permission');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.permissions
    FOR EACH ROW WHEN ((OLD.id, OLD.key COLLATE "C") IS DISTINCT FROM (NEW.id, NEW.key COLLATE "C"))
    EXECUTE FUNCTION qeetid_authz.log_thing('permission');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.roles
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('role');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.roles
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.name COLLATE "C")
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.name COLLATE "C"))
    EXECUTE FUNCTION qeetid_authz.log_thing('role');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.groups
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('group');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.groups
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.name COLLATE "C")
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.name COLLATE "C"))
    EXECUTE FUNCTION qeetid_authz.log_thing('group');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.tenants
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('tenant');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.tenants
    FOR EACH ROW WHEN ((OLD.id, OLD.status COLLATE "C", OLD.deleted_at IS NULL)
        IS DISTINCT FROM (NEW.id, NEW.status COLLATE "C", NEW.deleted_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('tenant');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON "user".users
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('user');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON "user".users
    FOR EACH ROW WHEN ((OLD.id, OLD.status COLLATE "C", OLD.deleted_at IS NULL)
        IS DISTINCT FROM (NEW.id, NEW.status COLLATE "C", NEW.deleted_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('user');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON auth.api_keys
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('api_key');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON auth.api_keys
    FOR EACH ROW WHEN (
        (OLD.id, OLD.tenant_id, OLD.user_id, OLD.prefix COLLATE "C", OLD.key_hash COLLATE "C", OLD.scopes COLLATE "C",
         OLD.expires_at, OLD.revoked_at IS NULL)
        IS DISTINCT FROM
        (NEW.id, NEW.tenant_id, NEW.user_id, NEW.prefix COLLATE "C", NEW.key_hash COLLATE "C", NEW.scopes COLLATE "C",
         NEW.expires_at, NEW.revoked_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('api_key');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.role_permissions
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_role_permission();
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.role_permissions
    FOR EACH ROW WHEN ((OLD.role_id, OLD.permission_id)
        IS DISTINCT FROM (NEW.role_id, NEW.permission_id))
    EXECUTE FUNCTION qeetid_authz.log_role_permission();

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.user_roles
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_user_role();
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.user_roles
    FOR EACH ROW WHEN ((OLD.user_id, OLD.tenant_id, OLD.role_id)
        IS DISTINCT FROM (NEW.user_id, NEW.tenant_id, NEW.role_id))
    EXECUTE FUNCTION qeetid_authz.log_user_role();

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.group_members
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_group_member();
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.group_members
    FOR EACH ROW WHEN ((OLD.group_id, OLD.user_id, OLD.tenant_id)
        IS DISTINCT FROM (NEW.group_id, NEW.user_id, NEW.tenant_id))
    EXECUTE FUNCTION qeetid_authz.log_group_member();

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON rbac.group_roles
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_group_role();
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON rbac.group_roles
    FOR EACH ROW WHEN ((OLD.group_id, OLD.role_id, OLD.tenant_id)
        IS DISTINCT FROM (NEW.group_id, NEW.role_id, NEW.tenant_id))
    EXECUTE FUNCTION qeetid_authz.log_group_role();

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON auth.service_principals
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('service');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON auth.service_principals
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.scopes COLLATE "C", OLD.disabled_at IS NULL)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.scopes COLLATE "C", NEW.disabled_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('service');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON auth.agents
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('agent');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON auth.agents
    FOR EACH ROW WHEN (
        (OLD.id, OLD.tenant_id, OLD.scopes COLLATE "C", OLD.disabled_at IS NULL, OLD.status COLLATE "C")
        IS DISTINCT FROM
        (NEW.id, NEW.tenant_id, NEW.scopes COLLATE "C", NEW.disabled_at IS NULL, NEW.status COLLATE "C"))
    EXECUTE FUNCTION qeetid_authz.log_thing('agent');

-- Of sessions only revocations count, and a revocation outlives its row.
CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT ON auth.sessions
    FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION qeetid_authz.log_thing('session');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON auth.sessions
    FOR EACH ROW WHEN ((OLD.id, OLD.revoked_at IS NULL)
        IS DISTINCT FROM (NEW.id, NEW.revoked_at IS NULL))
    EXECUTE FUNCTION qeetid_authz.log_thing('session');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON auth.oidc_clients
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('client');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON auth.oidc_clients
    FOR EACH ROW WHEN (
        (OLD.id, OLD.tenant_id, OLD.client_id COLLATE "C", OLD.client_secret_hash COLLATE "C", OLD.type COLLATE "C")
        IS DISTINCT FROM
        (NEW.id, NEW.tenant_id, NEW.client_id COLLATE "C", NEW.client_secret_hash COLLATE "C", NEW.type COLLATE "C"))
    EXECUTE FUNCTION qeetid_authz.log_thing('client');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.ip_rules
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_thing('ip_rule');
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.ip_rules
    FOR EACH ROW WHEN (
        (OLD.id, OLD.tenant_id, OLD.cidr COLLATE "C", OLD.action COLLATE "C", OLD.label COLLATE "C")
        IS DISTINCT FROM
        (NEW.id, NEW.tenant_id, NEW.cidr COLLATE "C", NEW.action COLLATE "C", NEW.label COLLATE "C"))
    EXECUTE FUNCTION qeetid_authz.log_thing('ip_rule');

CREATE OR REPLACE TRIGGER qeetid_authz_rows AFTER INSERT OR DELETE ON tenant.ip_rules_config
    FOR EACH ROW EXECUTE FUNCTION qeetid_authz.log_ip_config();
CREATE OR REPLACE TRIGGER qeetid_authz_updates AFTER UPDATE ON tenant.ip_rules_config
    FOR EACH ROW WHEN ((OLD.tenant_id, OLD.enabled) IS DISTINCT FROM (NEW.tenant_id, NEW.enabled))
    EXECUTE FUNCTION qeetid_authz.log_ip_config();

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

-- Looked up when somebody asks, and not followed.
GRANT SELECT ON auth.refresh_tokens, auth.oidc_refresh_tokens TO qeetid_authz_reader;

GRANT SELECT ON qeetid_authz.meta, qeetid_authz.change_log, qeetid_authz.sources
    TO qeetid_authz_reader;
GRANT EXECUTE ON FUNCTION qeetid_authz.incarnation, qeetid_authz.coverage,
    qeetid_authz.look TO qeetid_authz_reader;

-- Who writes may name the transaction, and nothing else here is of any use to anybody.
GRANT USAGE ON SCHEMA qeetid_authz TO PUBLIC;
GRANT EXECUTE ON FUNCTION qeetid_authz.revision_token TO PUBLIC;

-- Granting what one may not grant is a mere warning.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['rbac', 'tenant', 'user', 'auth', 'qeetid_authz'] LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO qeetid_authz_reader', name);
        IF NOT has_schema_privilege('qeetid_authz_reader', name, 'USAGE') THEN
            RAISE insufficient_privilege
                USING MESSAGE = format('no right to grant USAGE on schema %s', name);
        END IF;
    END LOOP;
END $$;
