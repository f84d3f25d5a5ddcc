"""Everything that knows Postgres: connecting, migrating, reading, importing."""
