"""Tests against the real thing: a Postgres server, HTTP, the command line."""
