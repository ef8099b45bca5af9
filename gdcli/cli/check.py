"""`gdcli check FILE`: whether code of one's own keeps to the contract."""

from __future__ import annotations

from typing import Annotated

import typer

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen

WHERE = "gdcli check"


@takes({RUN: (Screen,)})
def check(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="file with a problem, optimizer or schedule; or its name"
        ),
    ],
    **given: object,
) -> int:
    """Check a problem, an optimizer or a schedule of your own.

    The laws are those that gdcli's own are tested by: among them that the gradient is the loss's,
    that nothing is changed in place, that draws follow from the seed, and that a trial is the same
    in a grid and alone. The exit code is 1 if one is broken, 2 if the file cannot be run.
    """
    screen = read(Screen, given)
    from gdcli.laws.laws import check as checked
    from gdcli.report.listing import print_listing

    found = checked(file, WHERE)
    rows = [
        {"of": word, "law": kept.law, "result": kept.result, "detail": kept.detail}
        for word, results in found.items()
        for kept in results
    ]
    print_listing(rows, screen.format, screen.console())
    return int(any(row["result"] == "failed" for row in rows))
