"""`gdcli schema`: the JSON Schema of experiment files, for editors."""

from __future__ import annotations

import json

import typer

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen


@takes({RUN: (Screen,)}, without=("format",))
def schema(**given: object) -> int:
    """Print the JSON Schema of experiment files.

    Kept beside the files as gdcli.schema.json, it lets an editor complete and check those that
    begin with `#:schema ./gdcli.schema.json` (Taplo, Even Better TOML).
    """
    read(Screen, given)
    from gdcli.experiment_schema import schema as of_experiments

    typer.echo(json.dumps(of_experiments(), indent=1))
    return 0
