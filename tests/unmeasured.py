"""Processes in which coverage would learn nothing: to measure them would double their cost."""

from __future__ import annotations

import os

STARTS_COVERAGE = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def unmeasured(**settings: str) -> dict[str, str]:
    """Return this process's environment with other settings, and without what starts coverage."""
    kept = {name: value for name, value in os.environ.items() if name not in STARTS_COVERAGE}
    return {**kept, **settings}
