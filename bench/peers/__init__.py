"""Other products asked the same questions over the same facts, each by its own rules.

Nothing of them is needed but for the benchmark: `make bench-peers` installs them.
"""
