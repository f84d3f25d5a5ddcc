"""The AuthZEN Authorization API 1.0: evaluations, searches, and where they are."""
