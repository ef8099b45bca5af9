"""`gdcli problems`, `optimizers`, `schedules`: what there is, and each in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES, Catalogue
from gdcli.cli.details import print_details
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen


def _names(ctx: typer.Context) -> list[str]:
    """Return what a shell completes the argument of one of the commands by."""
    catalogues = {catalogue.folder: catalogue for catalogue in (PROBLEMS, OPTIMIZERS, SCHEDULES)}
    return catalogues[str(ctx.info_name)].names()


def listing(catalogue: Catalogue[Any]) -> Callable[..., int]:
    """Return the command that lists a catalogue."""

    @takes({RUN: (Screen,)})
    def command(
        *,
        name: Annotated[
            str | None,
            typer.Argument(
                metavar="NAME",
                help="one of them, to describe in full",
                autocompletion=_names,
            ),
        ] = None,
        **given: object,
    ) -> int:
        screen = read(Screen, given)
        if name is not None:
            print_details(catalogue, name, screen.format, screen.console())
            return 0
        from gdcli.report.listing import print_listing

        rows = [{"name": name, "summary": catalogue.summary(name)} for name in catalogue.names()]
        print_listing(rows, screen.format, screen.console())
        return 0

    command.__doc__ = f"List the {catalogue.folder}, or describe one with all of its options."
    return command


problems, optimizers, schedules = listing(PROBLEMS), listing(OPTIMIZERS), listing(SCHEDULES)
