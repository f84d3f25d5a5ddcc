"""What was known, kept on disk for a start without the database."""
