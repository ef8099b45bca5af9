"""The name of a run: its folder's."""

from __future__ import annotations

import re

from gdcli.errors import UserError
from gdcli.fields import show

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
LONGEST = 100


def checked_name(name: str, where: str) -> str:
    """Return a name that is safe as a folder's anywhere; raises UserError, naming `where`."""
    if len(name) > LONGEST or not NAME.fullmatch(name):
        what = f"{show(name)} cannot name a run"
        raise UserError(where, what, "take 1 to 100 of A-Z a-z 0-9 . _ -, not . or - first")
    return name
