"""How far a run is, from its files and locks alone: what a process left behind is not trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gdcli.errors import UserError
from gdcli.runs import manifest
from gdcli.runs.claims import at_work
from gdcli.runs.lines import lines_of
from gdcli.runs.spec import SHOWN, read_spec
from gdcli.runs.store import Store


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
