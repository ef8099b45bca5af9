"""`gdcli doctor`: what a bug report needs to say about the machine."""

from __future__ import annotations

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen


@takes({RUN: (Screen,)})
def doctor(**given: object) -> int:
    """Print versions, devices, threads and extras, for a bug report."""
    screen = read(Screen, given)
    from gdcli.report.listing import print_json, print_listing
    from gdcli.runs.diagnosis import diagnose

    found = diagnose()
    if screen.format == "json":
        print_json(found, screen.console())
    else:
        rows = [{"item": name, "value": value} for name, value in found.items()]
        print_listing(rows, screen.format, screen.console())
    return 0
