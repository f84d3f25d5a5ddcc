-- What people call users and tenants, and whose id that is.

-- name: users_by_email
-- Users of an e-mail, the one not deleted first.
SELECT id::text, deleted_at IS NULL
FROM "user".users
WHERE lower(email) = lower(%s)
ORDER BY deleted_at IS NOT NULL, id;

-- name: tenants_by_slug
-- The tenant of a slug, which is unique whatever its case.
SELECT id::text FROM tenant.tenants WHERE lower(slug) = lower(%s);

-- name: living_users
-- Users who aren't deleted, by their e-mails as they were given.
SELECT given.name, u.id::text
FROM unnest(%s::text[]) AS given (name)
JOIN "user".users AS u ON lower(u.email) = lower(given.name) AND u.deleted_at IS NULL;

-- name: tenants
-- Tenants by their slugs as they were given.
SELECT given.name, t.id::text
FROM unnest(%s::text[]) AS given (name)
JOIN tenant.tenants AS t ON lower(t.slug) = lower(given.name);

-- name: emails
-- The e-mails of some users.
SELECT id::text, email FROM "user".users WHERE id = ANY(%s::uuid[]);

-- name: server_version
-- Of the Postgres server.
SELECT current_setting('server_version');

-- name: is_empty
-- Whether the database holds nobody's tables.
SELECT NOT EXISTS (
    SELECT FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace NOT IN (
        SELECT oid FROM pg_namespace
        WHERE nspname = 'information_schema' OR nspname LIKE 'pg\_%'
    )
);
