"""The arguments of --vary and --set: NAME=VALUES, each name once."""

from __future__ import annotations

from collections.abc import Iterable

from gdcli.errors import UserError
from gdcli.fields import show


def assignments(texts: Iterable[str], where: str) -> dict[str, str]:
    """Return the values by name; raises UserError, naming `where`."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        key = name.strip()
        if not key or not equals:
            raise UserError(where, f"{show(text)} does not say what is what", "write NAME=VALUES")
        if key.replace("_", "-") in (other.replace("_", "-") for other in found):
            raise UserError(where, f"{show(key)} is given twice", "give it once, with all values")
        found[key] = values
    return found
