"""Few examples for each property: the tiers must stay quick, and every run of it tries others. In CI it tries the same ones."""

import os

from hypothesis import settings

settings.register_profile("tests", max_examples=25, deadline=None, derandomize="CI" in os.environ)
settings.load_profile("tests")
