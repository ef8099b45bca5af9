"""The folder that an exploration leaves: its tables, and manifest.json with their checksums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli import door
from gdcli.engine.device import resolve
from gdcli.engine.families import needs_torch
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.grid import digest
from gdcli.runs import atomic, manifest
from gdcli.runs.checksums import data_checksums
from gdcli.runs.code import code_checksums
from gdcli.runs.fingerprint import fingerprint

if TYPE_CHECKING:
    from gdcli.experiment import Experiment
    from gdcli.studies.explore import Exploration
    from gdcli.studies.options import DataMap, Machine

FORMAT = 1
FILES = ("examples.csv", "settings.csv", "correlations.csv")
MANIFEST = "manifest.json"
PAGES = (".html", ".htm")  # may lie beside


def identity(experiment: Experiment, options: DataMap) -> str:
    """Return the SHA-256 of all that is explored, and how."""
    return digest(["explore", experiment.hash, asdict(options)])


def folder_for(experiment: Experiment, options: DataMap, given: Path | None) -> Path:
    """Return the folder of an exploration; raises UserError where another thing lies there."""
    own = identity(experiment, options)
    folder = given or Path("results", f"explore-{experiment.name}-{own[:8]}")
    if folder.exists() and not _ours(folder, own):
        what = f"{show(str(folder))} holds something else"
        raise UserError("--folder", what, "give another folder, or remove it")
    return folder


def _ours(folder: Path, own: str) -> bool:
    """Return whether a folder is empty, or holds this exploration or a part of it."""
    if not folder.is_dir():
        return False
    files = (path for path in folder.iterdir() if path.suffix not in PAGES)
    names = {file.name for file in files if not file.name.startswith(atomic.TEMPORARY)}
    if not names <= {*FILES, MANIFEST}:
        return False
    try:
        held = door.json_of(folder / MANIFEST, dict[str, Any])
    except FileNotFoundError:
        held = {"hash": own}
    except UserError:
        return False
    return held is not None and held.get("hash") == own


def write(
    folder: Path, found: Exploration, machine: Machine, tables: Mapping[str, Iterable[str]]
) -> None:
    """Write the tables, by file, and then the manifest, which says that they are whole."""
    atomic.make(folder)
    for name, lines in tables.items():
        atomic.write(folder / name, (line.encode() for line in lines))
    manifest.write(folder, _content(found, machine), tables)


def _content(found: Exploration, machine: Machine) -> dict[str, Any]:
    experiment = found.experiment
    networks = needs_torch(experiment.grid.trials[0].problem)
    device = resolve(machine.device, networks=networks)
    return {
        "format": FORMAT,
        "study": "explore",
        "hash": identity(experiment, found.options),
        "experiment": {
            "problem": experiment.name,
            "hash": experiment.hash,
            "varied": list(experiment.varied),
            "settings": experiment.tables(),
        },
        "data": data_checksums(experiment),
        "options": asdict(found.options),
        "examples": found.examples.data.examples,
        "classes": found.examples.classes,
        "class_names": list(found.examples.described.classes),
        "counted": found.examples.described.counted,
        "trials": {
            "finished": sum(setting.seeds for setting in found.settings),
            "diverged": sum(setting.diverged for setting in found.settings),
        },
        "fingerprint": fingerprint(device, torch=networks or device != "cpu"),
        **manifest.circumstances(),
        **code_checksums(experiment),
    }
