"""The hosted API behind the sidecar: what isn't answered here is passed on to it."""
