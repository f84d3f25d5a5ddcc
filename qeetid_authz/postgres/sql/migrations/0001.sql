-- Schema qeetid_authz: the change log, what writes it and what the feed asks.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qeetid_authz_owner') THEN
        CREATE ROLE qeetid_authz_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qeetid_authz_reader') THEN
        CREATE ROLE qeetid_authz_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- made in another database just now
END $$;

CREATE SCHEMA qeetid_authz;

-- One row, read in the snapshot of every poll. Rows of transactions below `floor`
-- may be gone from the log.
CREATE TABLE qeetid_authz.meta (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    version integer NOT NULL,
    floor xid8 NOT NULL DEFAULT '0'
);

-- Which rows may differ, by key only: what they hold now is read from the tables.
-- A thing is named by `subject`; a relation by `subject` and `object`, and by the
-- tenant that its row is stamped with.
CREATE TABLE qeetid_authz.change_log (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    entity text NOT NULL,
    tenant_id uuid,
    subject uuid NOT NULL,
    object uuid,
    PRIMARY KEY (xid, seq)
) WITH (
    autovacuum_analyze_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_scale_factor = 0.05
);
CREATE INDEX change_log_at ON qeetid_authz.change_log USING brin (at);

CREATE FUNCTION qeetid_authz.log_thing() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO qeetid_authz.change_log (entity, subject)
        VALUES (TG_ARGV[0], OLD.id);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
        INSERT INTO qeetid_authz.change_log (entity, subject)
        VALUES (TG_ARGV[0], NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION qeetid_authz.log_role_permission() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO qeetid_authz.change_log (entity, subject, object)
        VALUES ('role_permission', OLD.role_id, OLD.permission_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO qeetid_authz.change_log (entity, subject, object)
        VALUES ('role_permission', NEW.role_id, NEW.permission_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION qeetid_authz.log_user_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO qeetid_authz.change_log (entity, tenant_id, subject, object)
        VALUES ('user_role', OLD.tenant_id, OLD.user_id, OLD.role_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO qeetid_authz.change_log (entity, tenant_id, subject, object)
        VALUES ('user_role', NEW.tenant_id, NEW.user_id, NEW.role_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION qeetid_authz.log_group_member() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO qeetid_authz.change_log (entity, tenant_id, subject, object)
        VALUES ('group_member', OLD.tenant_id, OLD.user_id, OLD.group_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO qeetid_authz.change_log (entity, tenant_id, subject, object)
        VALUES ('group_member', NEW.tenant_id, NEW.user_id, NEW.group_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION qeetid_authz.log_group_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO qeetid_authz.change_log (entity, tenant_id, subject, object)
        VALUES ('group_role', OLD.tenant_id, OLD.group_id, OLD.role_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO qeetid_authz.change_log (entity, tenant_id, subject, object)
        VALUES ('group_role', NEW.tenant_id, NEW.group_id, NEW.role_id);
    END IF;
    RETURN NULL;
END $$;

-- One uninterrupted life of the server: a new cluster has another system identifier,
-- a promoted standby another timeline, a crashed server another checkpointer.
CREATE FUNCTION qeetid_authz.incarnation() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT left(md5(concat_ws(':',
        (SELECT system_identifier FROM pg_control_system()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT backend_start FROM pg_stat_get_activity(NULL)
         WHERE backend_type = 'checkpointer'))), 12)
$$;

-- The tables whose changes are logged, each by its two triggers.
CREATE VIEW qeetid_authz.sources AS
SELECT relation, to_regclass(relation) AS relid FROM (VALUES
    ('rbac.permissions'), ('rbac.roles'), ('rbac.role_permissions'),
    ('rbac.user_roles'), ('rbac.group_roles'), ('tenant.groups'),
    ('tenant.group_members'), ('tenant.tenants'), ('"user".users'),
    ('auth.api_keys')
) AS source (relation);

-- Whether every write is logged. `disarmed` names the triggers that are missing or
-- not enabled always, and the tables that inherit a source's rows without them.
-- `fingerprint` changes whenever a trigger was touched or a table, the log among them,
-- truncated, rewritten or made anew, all of which the log can't tell.
CREATE FUNCTION qeetid_authz.coverage(OUT disarmed text[], OUT fingerprint text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT
        coalesce(array_agg(s.relation || ' ' || n.tgname ORDER BY s.relation, n.tgname)
            FILTER (WHERE t.tgenabled IS DISTINCT FROM 'A'), '{}')
        || ARRAY(
            SELECT i.inhrelid::regclass || ' inherits ' || source.relation
            FROM pg_inherits i JOIN qeetid_authz.sources source ON source.relid = i.inhparent
            ORDER BY 1),
        md5(string_agg(concat_ws(' ', c.oid, c.relfilenode, t.oid, t.xmin, t.tgenabled),
            ',' ORDER BY s.relation, n.tgname)
            || (SELECT relfilenode FROM pg_class
                WHERE oid = to_regclass('qeetid_authz.change_log')))
    FROM qeetid_authz.sources s
    CROSS JOIN (VALUES ('qeetid_authz_rows'), ('qeetid_authz_updates')) AS n (tgname)
    LEFT JOIN pg_class c ON c.oid = s.relid
    LEFT JOIN pg_trigger t ON t.tgrelid = s.relid AND t.tgname = n.tgname
$$;

-- Forget changes older than `age`, unless a transaction that may matter still runs, and
-- changes of transactions that this server hasn't come to, which a restored dump
-- brings. A replica that hasn't seen what is gone loads everything anew.
CREATE FUNCTION qeetid_authz.prune(age interval DEFAULT '24 hours') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_running CONSTANT pg_snapshot := pg_current_snapshot();
    mark xid8;
    last_gone xid8;
    pruned bigint;
BEGIN
    SELECT least(pg_snapshot_xmin(now_running), min(xid)) INTO mark
    FROM qeetid_authz.change_log
    WHERE at >= clock_timestamp() - age AND xid < pg_snapshot_xmax(now_running);
    WITH gone AS (
        DELETE FROM qeetid_authz.change_log
        WHERE xid < mark OR xid > pg_current_xact_id()
        RETURNING xid
    )
    SELECT count(*), max(xid) FILTER (WHERE xid < mark) INTO pruned, last_gone FROM gone;
    UPDATE qeetid_authz.meta
    SET floor = greatest(
        CASE WHEN floor <= pg_snapshot_xmax(now_running) THEN floor ELSE '0' END,
        CASE WHEN last_gone IS NOT NULL
            THEN (last_gone::text::numeric + 1)::text::xid8 ELSE '0' END)
    WHERE floor > pg_snapshot_xmax(now_running) OR last_gone IS NOT NULL;
    RETURN pruned;
END $$;

-- One who isn't a superuser gives things only to a role of his own, and `incarnation`
-- asks what is kept from plain roles.
DO $$
BEGIN
    IF NOT pg_has_role('qeetid_authz_owner', 'USAGE') THEN
        GRANT qeetid_authz_owner TO CURRENT_USER;
    END IF;
    IF NOT pg_has_role('qeetid_authz_owner', 'pg_read_all_stats', 'USAGE') THEN
        GRANT pg_monitor TO qeetid_authz_owner;
    END IF;
    IF NOT has_function_privilege('qeetid_authz_owner', 'pg_control_system()', 'EXECUTE')
    THEN
        GRANT EXECUTE ON FUNCTION pg_control_system() TO qeetid_authz_owner;
    END IF;
END $$;

ALTER SCHEMA qeetid_authz OWNER TO qeetid_authz_owner;
ALTER TABLE qeetid_authz.meta OWNER TO qeetid_authz_owner;
ALTER TABLE qeetid_authz.change_log OWNER TO qeetid_authz_owner;
ALTER VIEW qeetid_authz.sources OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.log_thing OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.log_role_permission OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.log_user_role OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.log_group_member OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.log_group_role OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.incarnation OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.coverage OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.prune OWNER TO qeetid_authz_owner;

-- Whoever has got a right by default, as PUBLIC has on functions, is to have none.
DO $$
DECLARE
    thing text;
    holder oid;
BEGIN
    FOR thing, holder IN
        SELECT 'TABLE ' || c.oid::regclass, grantee
        FROM pg_class c, aclexplode(c.relacl)
        WHERE c.relnamespace = 'qeetid_authz'::regnamespace AND grantee <> c.relowner
        UNION
        SELECT 'FUNCTION ' || p.oid::regprocedure, grantee
        FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
        WHERE p.pronamespace = 'qeetid_authz'::regnamespace AND grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', thing,
            CASE WHEN holder = 0 THEN 'PUBLIC' ELSE holder::regrole::text END);
    END LOOP;
END $$;

INSERT INTO qeetid_authz.meta (version) VALUES (1);
