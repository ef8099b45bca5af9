"""A law, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from gdcli.errors import GdcliError
from gdcli.fields import said
from gdcli.own import fault_of

Law: TypeAlias = Callable[[], str]  # returns what was seen; raises Broken, or whatever it meets


class Broken(Exception):  # noqa: N818 -- a law is broken
    """What breaks a law, in words."""


@dataclass(frozen=True)
class Kept:
    """Whether a law is kept, and what was seen."""

    law: str
    result: Literal["passed", "failed"]
    detail: str


def kept(laws: Iterable[tuple[str, Law]]) -> list[Kept]:
    """Return what came of laws, each by its name; one that is broken ends no other."""
    return [_kept(name, law) for name, law in laws]


def _kept(name: str, law: Law) -> Kept:
    try:
        with np.errstate(all="ignore"):
            return Kept(name, "passed", law())
    except Broken as broken:
        return Kept(name, "failed", str(broken))
    except GdcliError as error:
        return Kept(name, "failed", "; ".join(error.lines))
    except Exception as error:  # noqa: BLE001 -- code of anyone's may raise anything
        fault = fault_of(error)
        what = f"{fault.where}: {fault.what}" if fault else said(error)
        return Kept(name, "failed", " ".join(what.split()))


def require(condition: object, what: str) -> None:
    """Raise Broken, saying what is wrong, unless a condition holds."""
    if not condition:
        raise Broken(what)
