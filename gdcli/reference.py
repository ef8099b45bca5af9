"""How a problem, an optimizer or a schedule is referred to.

quadratic              by its name: gdcli's own, or a plugin's
./my_problem.py        by its file; its name is then my-problem
package.module:MyBowl  by its class, which Python can import; its name is then my-bowl
torch:Adamax           a class of torch.optim, whose name that is
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from gdcli.errors import UserError
from gdcli.fields import show

TORCH = "torch:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def is_file(reference: str) -> bool:
    """Return whether a reference is the path of a Python file."""
    return reference.endswith(".py") or "/" in reference or os.sep in reference


def is_own(reference: str) -> bool:
    """Return whether a reference is to code of the user's own: a file, or an importable class."""
    return is_file(reference) or (":" in reference and not reference.startswith(TORCH))


def absolute(reference: str) -> str:
    """Return a reference that means the same from every working directory."""
    # Not resolved: a link has the name that its user gave it.
    return os.path.abspath(reference) if is_file(reference) else reference  # noqa: PTH100


def relative(reference: str) -> str:
    """Return a reference to a file below the working directory as it would be typed there."""
    if not is_file(reference) or Path(short := shown(reference)).is_absolute():
        return reference
    return f"./{Path(short).as_posix()}"


def shown(file: str | Path) -> str:
    """Return a path as short as the working directory allows."""
    with suppress(OSError, ValueError):  # no such directory any more, or the file is elsewhere
        return str(Path(file).relative_to(Path.cwd()))
    return str(file)


def name_in(reference: str) -> str:
    """Return the name that results have for what is referred to, without importing it."""
    if is_file(reference):
        return Path(reference).stem.replace("_", "-")
    if is_own(reference):
        return HUMP.sub("-", reference.rpartition(":")[2]).replace("_", "-").lower()
    return reference


def check(reference: str, where: str) -> None:
    """Raise UserError, naming `where`, for what cannot name a column, a folder and an axis."""
    name = name_in(reference)
    if is_file(reference) and not reference.endswith(".py"):
        what = f"{show(reference)} does not end in .py"
        raise UserError(where, what, "give a Python file, such as ./my_problem.py")
    if is_own(reference) and not NAME.fullmatch(name):
        what = f"{show(reference)} would be called {show(name)} in results"
        raise UserError(where, what, "name it with A-Z a-z 0-9 _ alone")
    if "," in reference:  # which separates the values of an axis
        what = f"there is a comma in {show(reference)}"
        raise UserError(where, what, "move the file to a folder without one")
