"""The laws of whatever a reference means: a file may hold a problem and a rule for it."""

from __future__ import annotations

from typing import Any

from gdcli.discovery import OPTIMIZERS, PROBLEMS, SCHEDULES, Catalogue
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.laws.law import Kept, kept
from gdcli.laws.optimizer import OptimizerLaws
from gdcli.laws.problem import ProblemLaws
from gdcli.laws.schedule import ScheduleLaws
from gdcli.own import holds
from gdcli.reference import absolute, is_file

LAWS: dict[str, Any] = {
    "problem": ProblemLaws,
    "optimizer": OptimizerLaws,
    "schedule": ScheduleLaws,
}


def check(reference: str, where: str) -> dict[str, list[Kept]]:
    """Return what came of the laws, by "problem", "optimizer" and "schedule".

    Raises UserError, naming `where`, for a reference that means none of them, and for a file
    that cannot be run.
    """
    reference = absolute(reference)
    catalogues: tuple[Catalogue[Any], ...] = (PROBLEMS, OPTIMIZERS, SCHEDULES)
    found = {c.word: c.find(reference, where) for c in catalogues if _has(c, reference, where)}
    if not found:
        what = f"{show(reference)} holds no problem, optimizer or schedule"
        raise UserError(where, what, "give a file that does; gdcli new writes one")
    return {word: kept(LAWS[word](cls)) for word, cls in found.items()}


def _has(catalogue: Catalogue[Any], reference: str, where: str) -> bool:
    if is_file(reference):
        return holds(reference, catalogue.contract, where)
    if ":" not in reference:
        return reference in catalogue.names()
    try:
        catalogue.find(reference, where)
    except UserError:
        return False
    return True
