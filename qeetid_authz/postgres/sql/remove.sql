-- Takes out everything that migrations put in; the roles stay only where another
-- database of the server still uses them.

DO $$
DECLARE
    source text;
BEGIN
    FOR source IN SELECT relation FROM qeetid_authz.sources WHERE relid IS NOT NULL LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS qeetid_authz_rows ON %s', source);
        EXECUTE format('DROP TRIGGER IF EXISTS qeetid_authz_updates ON %s', source);
    END LOOP;
END $$;

DROP SCHEMA qeetid_authz CASCADE;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['qeetid_authz_reader', 'qeetid_authz_owner'] LOOP
        EXECUTE format('DROP OWNED BY %I', name);
        BEGIN
            EXECUTE format('DROP ROLE %I', name);
        EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
        END;
    END LOOP;
END $$;
