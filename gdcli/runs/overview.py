"""The runs in a folder, each with its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gdcli.catalog.user_code import name_in
from gdcli.errors import UserError
from gdcli.runs.folder import State, state_of
from gdcli.runs.lookup import is_run
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.spec import SHOWN, read_spec


@dataclass(frozen=True)
class RunEntry:
    """One run as a listing shows it; a field is empty where the files do not tell it."""

    name: str
    problem: str
    trials: str  # "30/80": those that are stored, of all
    state: str
    batches: str  # as the trials
    finished: str


def overview(folder: Path) -> list[RunEntry]:
    """Return the runs in a folder, by name, or the folder itself if it is a run; raises OSError."""
    if is_run(folder):
        return [_entry(folder)]
    return [_entry(run) for run in sorted(folder.iterdir()) if _seen_as_run(run)]


def _seen_as_run(folder: Path) -> bool:
    try:
        return is_run(folder)
    except PermissionError:  # another user's, which cannot be read
        return False


def _entry(folder: Path) -> RunEntry:
    try:
        state = state_of(folder)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        return RunEntry(folder.name, "", "", f"unreadable: {reason}", "", "")
    spec = _read(partial(read_spec, folder, SHOWN))
    manifest = _read(partial(read_manifest, folder))
    settings = _at(manifest, "experiment", "settings") or _at(spec, "settings")
    batches = f"{state.done}/{state.total}" if state.total else ""
    return RunEntry(
        folder.name,
        name_in(_text_of(_at(settings, "problem", "name"))),
        _trials(state, spec, _at(manifest, "trials", "all")),
        state.word,
        batches,
        _text_of(_at(manifest, "finished")),
    )


def _trials(state: State, spec: Mapping[str, Any], recorded: object) -> str:
    """Return "stored/all" trials, "" where it is not known."""
    total = recorded if isinstance(recorded, int) else spec.get("trials")
    if total is None or (state.trials is None and state.word != "complete"):
        return ""
    return f"{total if state.trials is None else state.trials}/{total}"


def _read(reader: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the content of a file, {} where it is damaged or missing."""
    try:
        return reader()
    except (UserError, OSError):
        return {}


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text_of(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
