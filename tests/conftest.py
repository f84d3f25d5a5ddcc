"""Fixtures of the whole suite."""

import os

from hypothesis import settings

# What the environment says of a server isn't meant for those that tests run.
for _name in [each for each in os.environ if each.startswith("PG")]:
    del os.environ[_name]

# In CI a run is like any other, so that what it covers is; elsewhere each looks further.
# Nowhere is an example timed: machines are busy at times.
settings.register_profile("any", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "any")

pytest_plugins = ["qeetid_authz.testing.plugin", "tests.fixtures.postgres"]
