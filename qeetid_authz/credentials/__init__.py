"""Credentials: what they say, whether they are genuine, and for whom they stand."""
