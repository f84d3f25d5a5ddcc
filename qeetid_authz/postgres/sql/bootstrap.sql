-- The tables of Qeet ID that this product reads, as its own migrations leave them
-- (fact sheet, section 3), for a database that has none of them.

CREATE SCHEMA tenant;
CREATE SCHEMA "user";
CREATE SCHEMA rbac;
CREATE SCHEMA auth;

CREATE TABLE tenant.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug text NOT NULL,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'suspended', 'deleted')),
    plan text NOT NULL DEFAULT 'free'
        CHECK (plan IN ('free', 'starter', 'pro', 'enterprise')),
    region text NOT NULL DEFAULT '',
    metadata jsonb NOT NULL DEFAULT '{}',
    logo_url text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX tenants_slug_key ON tenant.tenants (lower(slug));

CREATE TABLE "user".users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenant.tenants,
    email text NOT NULL,
    email_verified_at timestamptz,
    phone text,
    phone_verified_at timestamptz,
    display_name text,
    status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'invited', 'suspended', 'deleted')),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    mfa_required boolean NOT NULL DEFAULT false,
    external_id text,
    provisioned_via text,
    avatar_url text
);
CREATE UNIQUE INDEX users_email_key ON "user".users (lower(email))
    WHERE deleted_at IS NULL;

CREATE TABLE rbac.permissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    key text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT ''
);

CREATE TABLE rbac.roles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    is_system boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX roles_name_key ON rbac.roles (tenant_id, lower(name));

CREATE TABLE rbac.role_permissions (
    role_id uuid NOT NULL REFERENCES rbac.roles ON DELETE CASCADE,
    permission_id uuid NOT NULL REFERENCES rbac.permissions ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
);

CREATE TABLE rbac.user_roles (
    user_id uuid NOT NULL,
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    role_id uuid NOT NULL REFERENCES rbac.roles ON DELETE CASCADE,
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by uuid,
    PRIMARY KEY (user_id, tenant_id, role_id)
);
CREATE INDEX user_roles_user_tenant ON rbac.user_roles (user_id, tenant_id);

CREATE TABLE tenant.groups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    parent_id uuid REFERENCES tenant.groups ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    external_id text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX groups_external_id_key ON tenant.groups (tenant_id, external_id)
    WHERE external_id IS NOT NULL;

CREATE TABLE tenant.group_members (
    group_id uuid NOT NULL REFERENCES tenant.groups ON DELETE CASCADE,
    user_id uuid NOT NULL,
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_id, user_id)
);

CREATE TABLE rbac.group_roles (
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    group_id uuid NOT NULL REFERENCES tenant.groups ON DELETE CASCADE,
    role_id uuid NOT NULL REFERENCES rbac.roles ON DELETE CASCADE,
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by uuid,
    PRIMARY KEY (group_id, role_id)
);
CREATE INDEX group_roles_tenant ON rbac.group_roles (tenant_id);
CREATE INDEX group_roles_role ON rbac.group_roles (role_id);

CREATE TABLE auth.api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    user_id uuid REFERENCES "user".users ON DELETE SET NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    key_hash text NOT NULL,
    scopes text[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_keys_prefix ON auth.api_keys (prefix) WHERE revoked_at IS NULL;

CREATE TABLE auth.service_principals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    secret_hash text NOT NULL,
    scopes text[] NOT NULL DEFAULT '{}',
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX service_principals_name_key
    ON auth.service_principals (tenant_id, lower(name));

CREATE TABLE auth.agents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    name text NOT NULL,
    secret_hash text NOT NULL,
    scopes text[] NOT NULL DEFAULT '{}',
    token_ttl_seconds integer NOT NULL DEFAULT 600,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'suspended', 'decommissioned')),
    sponsor_user_id uuid REFERENCES "user".users
);

CREATE TABLE auth.sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES "user".users ON DELETE CASCADE,
    tenant_id uuid REFERENCES tenant.tenants,
    ip inet,
    user_agent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX sessions_user ON auth.sessions (user_id);

CREATE TABLE auth.refresh_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES auth.sessions ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    replaced_by uuid REFERENCES auth.refresh_tokens
);
CREATE INDEX refresh_tokens_session ON auth.refresh_tokens (session_id);

CREATE TABLE auth.oidc_clients (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    client_id text NOT NULL UNIQUE,
    client_secret_hash text,
    type text NOT NULL CHECK (type IN ('confidential', 'public')),
    name text NOT NULL,
    redirect_uris text[] NOT NULL DEFAULT '{}',
    post_logout_uris text[] NOT NULL DEFAULT '{}',
    grant_types text[] NOT NULL DEFAULT '{}',
    scopes text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    reviewed_at timestamptz,
    reviewed_by uuid REFERENCES "user".users
);

CREATE TABLE auth.oidc_refresh_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash text NOT NULL UNIQUE,
    client_id text NOT NULL,
    user_id uuid NOT NULL REFERENCES "user".users ON DELETE CASCADE,
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    scopes text[] NOT NULL DEFAULT '{}',
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    replaced_by uuid REFERENCES auth.oidc_refresh_tokens,
    revoked_at timestamptz,
    resource text
);

CREATE TABLE tenant.ip_rules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants ON DELETE CASCADE,
    cidr text NOT NULL,
    label text NOT NULL DEFAULT '',
    action text NOT NULL DEFAULT 'allow' CHECK (action IN ('allow', 'deny')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenant.ip_rules_config (
    tenant_id uuid PRIMARY KEY REFERENCES tenant.tenants ON DELETE CASCADE,
    enabled boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now()
);
