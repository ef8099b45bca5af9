"""The oracles are packages of others, in the extra `[oracles]`: make test-oracles installs them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _doubles() -> Iterator[None]:
    """Let jax compute in float64."""
    import jax  # noqa: PLC0415 -- only where the oracles are

    with jax.enable_x64(True):  # noqa: FBT003 -- jax's own signature
        yield
