-- name: insert_api_key
-- A key without limits in time or scope.
INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash)
VALUES (%s, %s, %s, %s);
