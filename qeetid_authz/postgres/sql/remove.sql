-- Takes out everything that migrations put in. The roles stay where another database
-- of the server uses them, or where we have no right to drop them.

DO $$
DECLARE
    item text;
BEGIN
    IF to_regrole('qeetid_authz_reader') IS NOT NULL THEN
        FOR item IN SELECT relation FROM qeetid_authz.sources
                    UNION ALL VALUES ('auth.refresh_tokens'), ('auth.oidc_refresh_tokens') LOOP
            CONTINUE WHEN to_regclass(item) IS NULL;
            EXECUTE format('REVOKE SELECT ON %s FROM qeetid_authz_reader', item);
        END LOOP;
        FOR item IN SELECT nspname FROM pg_namespace
                    WHERE nspname IN ('rbac', 'tenant', 'user', 'auth') LOOP
            EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM qeetid_authz_reader', item);
        END LOOP;
    END IF;
    IF EXISTS (
        SELECT FROM pg_proc, aclexplode(proacl) AS acl
        WHERE pg_proc.oid = 'pg_control_system()'::regprocedure
        AND acl.grantee = to_regrole('qeetid_authz_owner')
    ) THEN
        REVOKE EXECUTE ON FUNCTION pg_control_system() FROM qeetid_authz_owner;
    END IF;
END $$;

DROP SCHEMA qeetid_authz CASCADE; -- its functions take their triggers with them

-- Both or none: `DROP OWNED` would also revoke what was granted on other databases.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT rolname FROM pg_roles
                WHERE rolname IN ('qeetid_authz_reader', 'qeetid_authz_owner') LOOP
        IF NOT pg_has_role(name, 'USAGE') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', name);
        END IF;
        EXECUTE format('DROP OWNED BY %I', name);
        EXECUTE format('DROP ROLE %I', name);
    END LOOP;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
END $$;
