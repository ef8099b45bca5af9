"""`gdcli schema`: the JSON Schema of experiment files, for editors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.cli.target import checked_target


@dataclass(frozen=True)
class Place:
    """Where the schema goes."""

    output: Annotated[
        Path | None, "file to write, .json; gdcli.schema.json beside experiments is found"
    ] = None


@takes({RUN: (Place, Screen)}, without=("format",))
def schema(**given: object) -> int:
    """Print or write the JSON Schema of experiment files.

    Kept beside the files as gdcli.schema.json, it lets an editor complete and check those that
    begin with `#:schema ./gdcli.schema.json` (Taplo, Even Better TOML), as --save then lets them.
    """
    screen, place = every([lambda: read(Screen, given), lambda: read(Place, given)])
    if place.output:
        checked_target(place.output, (".json",))
    from gdcli.experiment.toml import text

    if place.output is None:
        typer.echo(text(), nl=False)
        return 0
    place.output.write_text(text(), encoding="utf-8")
    screen.tell(f"wrote {place.output}; run this again after an update of gdcli")
    return 0
