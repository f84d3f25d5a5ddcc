"""Facts compiled so that a question needs a lookup or two."""
