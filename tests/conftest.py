"""Fixtures of the whole suite."""

import os

from hypothesis import settings

# What the environment says of a server isn't meant for those that tests run.
for _name in [each for each in os.environ if each.startswith("PG")]:
    del os.environ[_name]

# In CI a run is like any other, so that what it covers is; elsewhere each looks further.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

pytest_plugins = ["tests.fixtures.postgres"]
