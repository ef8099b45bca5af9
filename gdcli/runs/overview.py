"""The runs in a folder, each with its state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdcli.runs.spec import read_json
from gdcli.runs.state import state_of

MARKS = ("summary.csv", "manifest.json", ".gdcli")  # a run has one of them from its first moment


@dataclass(frozen=True)
class Entry:
    """One run as a listing shows it; what its files do not say is empty."""

    name: str
    problem: str
    trials: str
    state: str
    batches: str  # "3/8": those that are stored, of all
    finished: str


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's."""
    return any((folder / mark).exists() for mark in MARKS)


def overview(folder: Path) -> list[Entry]:
    """Return the runs in a folder, by name, or the one that it is; raises OSError."""
    if is_run(folder):
        return [_entry(folder)]
    return [_entry(run) for run in sorted(folder.iterdir()) if is_run(run)]


def _entry(folder: Path) -> Entry:
    try:
        state = state_of(folder)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        return Entry(folder.name, "", "", f"unreadable: {reason}", "", "")
    spec, manifest = (_object(folder / name) for name in (".gdcli/spec.json", "manifest.json"))
    settings = _at(manifest, "experiment", "settings") or _at(spec, "settings")
    batches = f"{state.done}/{state.total}" if state.total else ""
    return Entry(
        folder.name,
        _text(_at(settings, "problem", "name")),
        _text(_at(manifest, "trials", "all")),
        state.word,
        batches,
        _text(_at(manifest, "finished")),
    )


def _object(file: Path) -> Any:
    try:
        return read_json(file.read_bytes())
    except OSError:
        return None


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
