-- name: insert_api_key
-- A key without limits in time or scope.
INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash)
VALUES (%s, %s, %s, %s);

-- name: insert_service
-- A service principal that no secret belongs to.
INSERT INTO auth.service_principals (tenant_id, name, secret_hash, scopes)
VALUES (%s, %s, '!', %s)
RETURNING id::text;

-- name: insert_agent
-- An agent that no secret belongs to.
INSERT INTO auth.agents (tenant_id, name, secret_hash, scopes)
VALUES (%s, %s, '!', %s)
RETURNING id::text;
