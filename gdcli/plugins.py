"""What installed packages add: their entry points `gdcli.problems`, `.optimizers`, `.schedules`.

A listing reads their names and the first lines of their docstrings; it imports none of them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli import own
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.reference import NAME

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@cache
def plugins(folder: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of the group `gdcli.<folder>` by name; a name may be taken twice."""
    # As slow to import as all of gdcli: only who asks for more than gdcli's own waits for it.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=f"gdcli.{folder}"):
        name = entry.name.replace("_", "-")
        if NAME.fullmatch(name) and entry not in found.get(name, ()):
            found[name] = (*found.get(name, ()), entry)
    return found


def summary(entry: EntryPoint) -> str:
    """Return the first line of a plugin's docstring, or else which package it is from."""
    spec = own.spec_of(entry.module)
    try:
        tree = ast.parse(Path((spec and spec.origin) or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return f"from {_package(entry)}"
    line = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    return line or f"from {_package(entry)}"


def find(folder: str, name: str, contract: type, where: str) -> type[Any]:
    """Return the class of a plugin, imported; raises UserError, naming `where`."""
    entries = plugins(folder)[name]
    if len(entries) > 1:
        packages = " and ".join(sorted(map(_package, entries)))
        what = f"{show(name)} is in more than one package: {packages}"
        raise UserError(where, what, "uninstall all but one")
    (entry,) = entries
    try:
        return own.imported(entry.module, entry.attr, contract, name, where)
    except UserError as error:
        fix = f"update or uninstall {_package(entry)}"
        raise UserError(where, f"the plugin {show(name)}: {error.what}", fix) from error


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
