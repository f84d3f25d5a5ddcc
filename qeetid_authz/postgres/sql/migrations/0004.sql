-- Writers learn what to ask with to see what they wrote; a look tells the time as well.

-- Names the transaction that asks, for whoever must be answered from a revision that has
-- seen it. Anybody may ask: it tells nothing but an id of one's own.
CREATE FUNCTION qeetid_authz.revision_token() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qeetid_authz.incarnation() || '@' || pg_current_xact_id()::text;
END $$;

DROP FUNCTION qeetid_authz.look(xid8, xid8[]);

-- Where the feed stands, and whether there may be `news` since a snapshot: keys that
-- transactions touched which had not ended in it. `now` is the time, in seconds since
-- the Unix epoch.
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
    OUT now double precision,
    OUT news boolean
)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s' SET jit = off SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    SELECT pg_current_snapshot()::text,
        CASE WHEN NOT pg_is_in_recovery() THEN qeetid_authz.incarnation() END,
        meta.version, meta.floor::text::bigint, coverage.disarmed, coverage.fingerprint,
        extract(epoch FROM clock_timestamp()),
        current_setting('transaction_isolation') <> 'read committed'
            OR EXISTS (SELECT FROM qeetid_authz.change_log WHERE xid >= known_xmax)
            OR EXISTS (SELECT FROM qeetid_authz.change_log
                       WHERE xid = ANY(known_running))
    INTO snapshot, incarnation, version, floor, disarmed, fingerprint, now, news
    FROM qeetid_authz.meta, qeetid_authz.coverage();
END $$;

ALTER FUNCTION qeetid_authz.revision_token OWNER TO qeetid_authz_owner;
ALTER FUNCTION qeetid_authz.look OWNER TO qeetid_authz_owner;

-- Whoever has got a right by default, as PUBLIC has, is to have none.
DO $$
DECLARE
    thing text;
    holder oid;
BEGIN
    FOR thing, holder IN
        SELECT p.oid::regprocedure::text, grantee
        FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
        WHERE p.oid IN ('qeetid_authz.revision_token()'::regprocedure,
            'qeetid_authz.look(xid8, xid8[])'::regprocedure)
        AND grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', thing,
            CASE WHEN holder = 0 THEN 'PUBLIC' ELSE holder::regrole::text END);
    END LOOP;
END $$;
