"""The oracles are packages of others, in the extra `[oracles]`: make test-oracles installs them."""

from __future__ import annotations

from importlib.util import find_spec

PACKAGES = (
    "dadaptation",
    "heavyball",
    "optax",
    "prodigyopt",
    "pytorch_optimizer",
    "schedulefree",
    "scipy",
    "sklearn",
)
collect_ignore_glob = [] if all(map(find_spec, PACKAGES)) else ["test_*.py"]
