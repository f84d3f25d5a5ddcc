"""The demonstration: a database, a sidecar, a few questions and their answers."""
