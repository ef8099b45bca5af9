"""What a run's folder is said to be: what its files and locks show, nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from gdcli.executors.execute import execute
from gdcli.runs.folder import RunFolder, State, state_of
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment
from tests.runs.test_atomic_claims import another

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a finished run of two batches."""
    given = experiment("quadratic", optimizer="vanilla,momentum", lr="0.01,0.1")
    return execute(given, RunOptions(output=tmp_path), Silent()).folder


def change(file: Path) -> None:
    """Change one byte of a file."""
    content = file.read_bytes()
    file.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])


CASES: dict[str, tuple[Callable[[Path], object], State]] = {
    "nothing": (lambda _: None, State("complete", 2, 2)),
    "only what a user sees": (lambda f: shutil.rmtree(f / ".gdcli"), State("complete", 0, 0)),
    "a shard gone": (lambda f: (f / ".gdcli/shards/000001").unlink(), State("complete", 2, 2)),
    "no results yet": (lambda f: (f / "manifest.json").unlink(), State("partial", 2, 2)),
    "curves changed": (lambda f: change(f / "curves.csv"), State("damaged", 2, 2)),
    "summary gone": (lambda f: (f / "summary.csv").unlink(), State("damaged", 2, 2)),
    "manifest changed": (lambda f: (f / "manifest.json").write_text("{"), State("damaged", 2, 2)),
    "spec changed": (
        lambda f: (f / ".gdcli/spec.json").write_text('{"batches": NaN}'),
        State("complete", 0, 0),
    ),
}


@pytest.mark.parametrize(("damage", "state"), CASES.values(), ids=CASES)
def test_a_state_is_what_the_files_show(
    folder: Path, damage: Callable[[Path], object], state: State
) -> None:
    damage(folder)
    assert state_of(folder) == state


def test_a_run_that_is_not_finished_is_counted(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    shard = folder / ".gdcli" / "shards" / "000001"
    change(shard)
    assert state_of(folder) == State("damaged", 1, 2)
    shard.unlink()
    assert state_of(folder) == State("partial", 1, 2)
    assert state_of(folder).trials == 2
    with another(folder, "lock_folder"):
        assert state_of(folder) == State("in progress", 1, 2)
    assert state_of(folder) == State("partial", 1, 2)


def test_a_run_that_was_killed_before_it_began_is_partial(tmp_path: Path) -> None:
    (tmp_path / ".gdcli" / "shards").mkdir(parents=True)
    assert state_of(tmp_path) == State("partial", 0, 0)
    with another(tmp_path, "lock_folder"):
        assert state_of(tmp_path) == State("in progress", 0, 0)


def test_visible_files_that_were_changed_are_damaged(folder: Path) -> None:
    shutil.rmtree(folder / ".gdcli")
    change(folder / "curves.csv")
    assert state_of(folder) == State("damaged", 0, 0)


def test_a_run_that_is_not_finished_has_the_trials_that_are_stored(folder: Path) -> None:
    whole = RunFolder(folder)
    records, ids = list(whole.records()), [trial.id for trial in whole.trials.trials]
    (folder / "manifest.json").unlink()
    (folder / ".gdcli" / "shards" / "000000").unlink()
    part = RunFolder(folder)
    part.check()
    held = ids[2:]
    assert (whole.state, part.state) == ("complete", "partial")
    assert list(part.ids()) == [trial.id for trial in part.trials.trials] == held
    assert list(part.records()) == records[2:]
    assert [curve.trial for curve in part.curves(("train_loss",))] == held
    (block,) = part.blocks("curves.csv", held[:1], 1000)
    assert set(block["trial"]) == {held[0]}
    assert block["train_loss"] == records[2].curve["train_loss"]
