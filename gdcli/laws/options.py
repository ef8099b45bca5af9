"""The fields of a class are options that say what they are."""

from __future__ import annotations

from gdcli.fields import options_of
from gdcli.laws.law import require


def options(cls: type) -> str:
    """Require a phrase of every option, and a default that is a value of it."""
    found = options_of(cls).values()
    for option in found:
        require(option.summary, f"--{option.name} has no phrase: annotate it with one")
        raw = list(option.default) if option.many else option.default
        read = option.read(raw, f"--{option.name}")
        require(read == option.default, f"--{option.name}: {option.default!r} is read as {read!r}")
    return ", ".join(option.name for option in found) or "none"
