"""The environment of every test, set before NumPy is imported, as the command line does."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from tests.slow import mark

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MKL_CBWR", "AUTO")

# nohup, and the background of a script, have them ignored, and whatever the tests start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No example is timed: every core has tests, and maybe something else, to do.
FULL = settings(settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.register_profile("full", FULL)
settings.register_profile("quick", FULL, max_examples=20)
settings.load_profile("full")  # but for --hypothesis-profile
pytest_plugins = ("tests.browser",)
UNFITTING = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves out."""
    config.stash[UNFITTING] = mark(items)
