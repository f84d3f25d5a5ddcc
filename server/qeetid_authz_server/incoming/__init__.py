"""What comes in: bodies, queries and ids as they are written, and who sends them."""
