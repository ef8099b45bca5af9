"""`gdcli report RUN`: one page with all there is to see of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.completion import runs
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.cli.target import checked_target
from gdcli.runs.run_folder import intact

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Page:
    """Where the page goes."""

    output: Annotated[Path, "file to write"] = Path("report.html")


@takes({RUN: (Page, Screen)}, without=("format",))
def report(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
        ),
    ],
    **given: object,
) -> int:
    """Write a run as one interactive page that works offline."""
    screen, page = every([lambda: read(Screen, given), lambda: read(Page, given)])
    file = checked_target(page.output, SUFFIXES)
    folder = intact(run)
    from gdcli.report.page.page import page_bytes
    from gdcli.report.units import size
    from gdcli.runs import atomic

    content = page_bytes(folder)
    atomic.write(file, [content])
    screen.tell(f"the page is in {file} ({size(len(content))})")
    return 0
