-- A look at a quiet database costs little: plans are kept, and one statement says all.

-- As before, with a plan that lasts as long as the session.
CREATE OR REPLACE FUNCTION qeetid_authz.incarnation() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN left(md5(concat_ws(':',
        (SELECT system_identifier FROM pg_control_system()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT backend_start FROM pg_stat_get_activity(NULL)
         WHERE backend_type = 'checkpointer'))), 12);
END $$;

-- As before, with a plan that lasts as long as the session, and each name looked up once.
CREATE OR REPLACE FUNCTION qeetid_authz.coverage(OUT disarmed text[], OUT fingerprint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH source AS MATERIALIZED (SELECT relation, relid FROM qeetid_authz.sources)
    SELECT
        coalesce(array_agg(s.relation || ' ' || n.tgname ORDER BY s.relation, n.tgname)
            FILTER (WHERE t.tgenabled IS DISTINCT FROM 'A'), '{}')
        || ARRAY(
            SELECT i.inhrelid::regclass || ' inherits ' || source.relation
            FROM pg_inherits i JOIN source ON source.relid = i.inhparent
            ORDER BY 1),
        md5(string_agg(concat_ws(' ', c.oid, c.relfilenode, t.oid, t.xmin, t.tgenabled),
            ',' ORDER BY s.relation, n.tgname)
            || (SELECT relfilenode FROM pg_class
                WHERE oid = to_regclass('qeetid_authz.change_log')))
    INTO disarmed, fingerprint
    FROM source s
    CROSS JOIN (VALUES ('qeetid_authz_rows'), ('qeetid_authz_updates')) AS n (tgname)
    LEFT JOIN pg_class c ON c.oid = s.relid
    LEFT JOIN pg_trigger t ON t.tgrelid = s.relid AND t.tgname = n.tgname;
END $$;

-- Where the feed stands, and whether there may be `news` since a snapshot: keys that
-- transactions touched which had not ended in it.
--
-- A statement of a volatile function has a snapshot of its own, taken when it has its
-- locks: it can't mistake a log that was truncated while it waited for one without news.
-- Where a whole transaction has one snapshot it could, and so has always news.
CREATE FUNCTION qeetid_authz.look(
    known_xmax xid8,
    known_running xid8[],
    OUT snapshot text,
    OUT incarnation text,
    OUT version int,
    OUT floor bigint,
    OUT disarmed text[],
    OUT fingerprint text,
    OUT news boolean
)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET jit = off SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    SELECT pg_current_snapshot()::text,
        CASE WHEN NOT pg_is_in_recovery() THEN qeetid_authz.incarnation() END,
        meta.version, meta.floor::text::bigint, coverage.disarmed, coverage.fingerprint,
        current_setting('transaction_isolation') <> 'read committed'
            OR EXISTS (SELECT FROM qeetid_authz.change_log WHERE xid >= known_xmax)
            OR EXISTS (SELECT FROM qeetid_authz.change_log
                       WHERE xid = ANY(known_running))
    INTO snapshot, incarnation, version, floor, disarmed, fingerprint, news
    FROM qeetid_authz.meta, qeetid_authz.coverage();
END $$;

ALTER FUNCTION qeetid_authz.look OWNER TO qeetid_authz_owner;

-- Whoever has got a right by default, as PUBLIC has, is to have none.
DO $$
DECLARE
    holder oid;
BEGIN
    FOR holder IN
        SELECT DISTINCT grantee
        FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
        WHERE p.oid = 'qeetid_authz.look(xid8, xid8[])'::regprocedure
        AND grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION qeetid_authz.look FROM %s',
            CASE WHEN holder = 0 THEN 'PUBLIC' ELSE holder::regrole::text END);
    END LOOP;
END $$;
