"""The runs in a folder, each with its state.

The state follows from files and locks alone: what a killed process left behind is not trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gdcli.catalog.user_code import name_in
from gdcli.errors import UserError
from gdcli.runs import manifest
from gdcli.runs.atomic import at_work
from gdcli.runs.csv_read import lines_of
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.spec import SHOWN, read_spec
from gdcli.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class State:
    """A word for a run, and how many of its batches are there."""

    word: Literal["complete", "in progress", "damaged", "partial"]
    done: int
    total: int  # 0 where it cannot be told
    # Trials of the batches that are there: they follow from those. None: all, or unknown.
    trials: int | None = field(default=None, compare=False)

    @property
    def unfinished(self) -> str:
        """What there is of a run that is not finished, in words."""
        return f"the run is not finished: {self.done} of {self.total or 'its'} batches are there"


def state_of(folder: Path) -> State:
    """Return the state of a run's folder.

    complete: the results are there and are what was written. in progress: a process holds a lock
    in it. damaged: a file is not what was written; the same command makes it anew. partial: the
    same command goes on with it. Raises OSError where a file cannot be read.
    """
    try:
        spec = read_spec(folder, SHOWN)
    except FileNotFoundError:  # killed before it began, or copied without its hidden folder
        return _without_spec(folder, "partial")
    except UserError:
        return _without_spec(folder, "damaged")
    store, total = Store(folder, spec), spec["batches"]
    if manifest.counts(folder, store.id):
        return State("complete", total, total)
    there = store.there(total)
    # One at a time: together they may be larger than the memory.
    held = [len(lines_of(shard.summary)) for i in there if (shard := store.load(i)) is not None]
    done, trials = len(held), sum(held)
    if at_work(folder):
        return State("in progress", done, total, trials)
    sound = done == len(there) and not (folder / "manifest.json").exists()
    return State("partial" if sound else "damaged", done, total, trials)


def _without_spec(folder: Path, unfinished: Literal["damaged", "partial"]) -> State:
    """Return the state of a run that its tables alone can vouch for."""
    if at_work(folder):
        return State("in progress", 0, 0)
    if not (folder / "manifest.json").exists():
        return State(unfinished, 0, 0)
    try:
        manifest.check_files(folder)
    except UserError:
        return State("damaged", 0, 0)
    return State("complete", 0, 0)


MARKS = ("summary.csv", "manifest.json", ".gdcli")  # a run has one of them from its first moment

STUDY = "examples.csv"  # what gdcli explore leaves is no run


@dataclass(frozen=True)
class Entry:
    """One run as a listing shows it; what its files do not say is empty."""

    name: str
    problem: str
    trials: str  # "30/80": those that are stored, of all
    state: str
    batches: str  # as the trials
    finished: str


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's."""
    marked = any((folder / mark).exists() for mark in MARKS)
    return marked and not (folder / STUDY).exists()


def overview(folder: Path) -> list[Entry]:
    """Return the runs in a folder, by name, or the one that it is; raises OSError."""
    if is_run(folder):
        return [_entry(folder)]
    return [_entry(run) for run in sorted(folder.iterdir()) if _seen_as_run(run)]


def _seen_as_run(folder: Path) -> bool:
    try:
        return is_run(folder)
    except PermissionError:  # another user's: what is in it cannot be told
        return False


def _entry(folder: Path) -> Entry:
    try:
        state = state_of(folder)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        return Entry(folder.name, "", "", f"unreadable: {reason}", "", "")
    spec = _read(partial(read_spec, folder, SHOWN))
    manifest = _read(partial(read_manifest, folder))
    settings = _at(manifest, "experiment", "settings") or _at(spec, "settings")
    batches = f"{state.done}/{state.total}" if state.total else ""
    return Entry(
        folder.name,
        name_in(_text_of(_at(settings, "problem", "name"))),
        _trials(state, spec, _at(manifest, "trials", "all")),
        state.word,
        batches,
        _text_of(_at(manifest, "finished")),
    )


def _trials(state: State, spec: Mapping[str, Any], recorded: object) -> str:
    """Return how many trials are stored, of all: "" where it cannot be told."""
    total = recorded if isinstance(recorded, int) else spec.get("trials")
    if total is None or (state.trials is None and state.word != "complete"):
        return ""
    return f"{total if state.trials is None else state.trials}/{total}"


def _read(reader: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a file says, nothing where it is damaged or not there."""
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
