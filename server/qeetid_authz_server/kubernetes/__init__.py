"""Kubernetes asks here whether a user may do something to a resource."""
