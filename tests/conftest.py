"""Fixtures of the whole suite."""

import os

# What the environment says of a server isn't meant for those that tests run.
for _name in [each for each in os.environ if each.startswith("PG")]:
    del os.environ[_name]

pytest_plugins = ["tests.fixtures.postgres"]
