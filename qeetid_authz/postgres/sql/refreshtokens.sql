-- Refresh tokens by their hash: none but those that may be used now, by this server's
-- clock. A time without end is none that a caller could be told.

-- name: issued_to_clients
-- Those of OIDC clients. A reuse revokes all that their user holds at that client.
SELECT client_id, user_id::text, tenant_id::text, NULL::text,
    array_remove(scopes, NULL),
    floor(extract(epoch FROM issued_at))::bigint,
    floor(extract(epoch FROM expires_at))::bigint
FROM auth.oidc_refresh_tokens
WHERE token_hash = %s AND revoked_at IS NULL AND used_at IS NULL
    AND clock_timestamp() < expires_at AND isfinite(expires_at) AND isfinite(issued_at);

-- name: issued_at_login
-- Those of Qeet ID's own sessions. A reuse revokes the session.
SELECT NULL::text, session.user_id::text, session.tenant_id::text, session.id::text,
    '{}'::text[],
    floor(extract(epoch FROM token.issued_at))::bigint,
    floor(extract(epoch FROM token.expires_at))::bigint
FROM auth.refresh_tokens token
JOIN auth.sessions session ON session.id = token.session_id
WHERE token.token_hash = %s AND token.used_at IS NULL AND session.revoked_at IS NULL
    AND clock_timestamp() < token.expires_at
    AND isfinite(token.expires_at) AND isfinite(token.issued_at);
