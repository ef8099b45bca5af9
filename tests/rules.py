"""The rules that are built in, each as it is trained where a parameter may be of any kind."""

from __future__ import annotations

from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.method import Method

NAMES = OPTIMIZERS.built_in()
METHODS = [name for name in NAMES if issubclass(OPTIMIZERS.find(name, ""), Method)]
LINEAR = [n for n in METHODS if getattr(OPTIMIZERS.find(n, ""), "linear_models", False)]


def whole(name: str) -> str:
    """Return a rule with another one for the kinds of parameters that it does not move."""
    kinds = getattr(OPTIMIZERS.find(name, ""), "kinds", None)
    return name if kinds is None else f"{name}+adam"
