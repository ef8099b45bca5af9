"""`--save FILE.toml`: the file that a command line means."""

from __future__ import annotations

from pathlib import Path

from gdcli.cli.screen import Screen
from gdcli.door import given_content
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.fields import show

GIVE = "give the name of a new file"


def save(experiment: Experiment, file: Path, screen: Screen, *, overwrite: bool) -> int:
    """Write an experiment to a TOML file; raises UserError rather than replace another one.

    Where the schema is beside it, the first line lets an editor complete and check the file.
    """
    from gdcli.experiment.toml import NAMES_SCHEMA, SCHEMA_FILE, dump

    text = dump(experiment, local=True)
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in no folder that exists"
        raise UserError(
            "--save", f"{show(str(file))} {what}", "give a file in a folder that exists"
        )
    same = (text.encode(), (NAMES_SCHEMA + text).encode())
    if file.exists() and not overwrite and given_content(file, "--save", GIVE) not in same:
        fix = "give another name, or --overwrite"
        raise UserError("--save", f"{show(str(file))} exists and says something else", fix)
    named = NAMES_SCHEMA if (file.parent / SCHEMA_FILE).is_file() else ""
    try:
        file.write_text(named + text, encoding="utf-8")
    except OSError as error:
        error.filename = str(file)  # a full disk names none
        raise
    screen.tell(f"saved, not run; to run it: gdcli sweep {file}")
    return 0
