"""A sidecar asked over HTTP, in place of an authorizer in this process.

`SidecarClient` and `AsyncSidecarClient` come from `qeetid_authz`.
"""
