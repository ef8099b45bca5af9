"""`gdcli show RUN`: the results of a run, printed again, and what more its files tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import TYPE_CHECKING, Annotated, Literal

from gdcli.analysis.diagnosis.verdict import limits_class
from gdcli.catalog.classes import class_place
from gdcli.cli.options import (
    RUN,
    RunArgument,
    Screen,
    collect_errors,
    given_of,
    options_from,
    read,
)
from gdcli.errors import UserError
from gdcli.fields import options_of
from gdcli.report.run_view import RunView, run_views
from gdcli.runs.lookup import intact

VIEWS = run_views()
if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(VIEWS)]


def _summary(view: type[RunView]) -> str:
    """Return the first line of a view's docstring, as it goes on after a colon."""
    line = (getdoc(view) or "").partition("\n")[0].rstrip(".")
    return line[:1].lower() + line[1:]


SUMMARIES = "; ".join(f"{name}: {_summary(view)}" for name, view in VIEWS.items())


LIMITS = limits_class()


def _refuse_clashes(views: Mapping[str, type[RunView]], *others: type) -> None:
    """Raise UserError for a view with an option that every view has, or that `others` take."""
    taken = {"run", "view"}.union(*map(options_of, others))
    for view in views.values():
        if clash := sorted(taken & options_of(view).keys()):
            what = f"its field {clash[0]} is an option of gdcli show already"
            raise UserError(class_place(view), what, "give it another name")


_refuse_clashes(VIEWS, LIMITS, Screen)


@dataclass(frozen=True)
class Chosen:
    """Which view of a run is printed."""

    view: Annotated[Name, SUMMARIES] = "results"

    def read(self, given: Mapping[str, object]) -> RunView:
        """Return the view with its options; raises UserError for an option of another view."""
        view = VIEWS[self.view]
        for name in given_of(given, *VIEWS.values()).keys() - options_of(view).keys():
            takers = [other for other, cls in VIEWS.items() if name in options_of(cls)]
            what = f"--view {self.view} does not take it"
            raise UserError(f"--{name}", what, f"give --view {' or '.join(takers)}")
        return read(view, given)


@options_from({"View": (Chosen, *VIEWS.values()), "Diagnosis": (LIMITS,), RUN: (Screen,)})
def show(
    *,
    run: RunArgument,
    **given: object,
) -> int:
    """Print the results of a run again: its tables and its curves.

    Options under Diagnosis change the limits between the words of a diagnosis, such as flat and
    still falling. The files of the run do not change.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        view = collect(lambda: read(Chosen, given).read(given))
        limits = collect(read, LIMITS, given)
        folder = collect(intact, run)
    from gdcli.analysis.diagnoses import diagnoses_of

    view.print(folder, diagnoses_of(folder, limits), screen.format, screen.console())
    return 0
