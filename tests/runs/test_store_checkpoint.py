"""The file of a checkpoint: whole and of its batch, or not there."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gdcli.runs import atomic, store
from gdcli.runs.store import Checkpoint
from tests.runs.command import gdcli, tables

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAMED = ("--epochs", "5", "--name", "run", "--format", "csv")
STATE = {"step": np.array(7), "state 0.weight velocity": np.arange(6.0, dtype=np.float32)}


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoint:
    made = Checkpoint(tmp_path / "checkpoints" / "000000", "a batch")
    made.save(STATE)
    return made


def test_a_state_comes_back(kept: Checkpoint) -> None:
    loaded = Checkpoint(kept.file, "a batch").load()
    assert loaded is not None
    assert loaded.keys() == STATE.keys()
    for name, array in STATE.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


@pytest.mark.parametrize("way", ["packed", "no archive", "one array", "objects"])
def test_a_state_that_no_run_writes_is_none(kept: Checkpoint, way: str) -> None:
    body = io.BytesIO()
    if way == "packed":  # it could unpack to any size
        np.savez_compressed(body, step=np.zeros(1000))
    elif way == "no archive":
        body.write(b"PK\x03\x04")
    elif way == "one array":
        np.save(body, np.arange(3))
    else:
        np.savez(body, step=np.array([{}]))
    content = body.getvalue()
    kept.file.write_bytes(kept._head(content) + content)
    assert kept.load() is None


def test_the_next_state_replaces_it(kept: Checkpoint) -> None:
    kept.save({"step": np.array(8)})
    loaded = kept.load()
    assert loaded is not None
    assert loaded.keys() == {"step"}
    assert [file.name for file in kept.file.parent.iterdir()] == ["000000"]


def test_a_state_of_another_batch_is_not_loaded(kept: Checkpoint) -> None:
    assert Checkpoint(kept.file, "another").load() is None


def test_a_damaged_state_is_not_loaded(kept: Checkpoint) -> None:
    whole = kept.file.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(len(whole), size=50):
        kept.file.write_bytes(whole[:place])
        assert kept.load() is None
        flipped = bytes([whole[place] ^ 1 << int(random.integers(8))])
        kept.file.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert kept.load() is None


def test_it_is_due_when_the_last_one_is_a_minute_old(
    kept: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not kept.due()
    monkeypatch.setattr(store, "INTERVAL", 0.0)
    assert kept.due()


def test_a_full_disk_does_not_end_the_run(
    kept: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _chunks: Iterable[bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "write", full)
    monkeypatch.setattr(store, "INTERVAL", 0.0)
    kept.save({"step": np.array(9)})
    assert not kept.due()
    loaded = kept.load()
    assert loaded is not None
    assert loaded["step"] == 7


LONG = ("run", "mlp", "--dataset", "iris", "--method", "minibatch", *NAMED)
ONE, TWO = (*LONG, "--batch-size", "8"), (*LONG, "--batch-size", "8,9", "--workers", "2")
KILLED = """
from gdcli.runs import store as checkpoint
checkpoint.INTERVAL = 0
save, saved = checkpoint.Checkpoint.save, []
def saving(self, arrays):
    save(self, arrays)
    saved.append(arrays["step"])
    if len(saved) == 4:
        os.kill(os.getpid(), 9)
checkpoint.Checkpoint.save = saving
"""
TOLD = """
from gdcli.engine.recorder import TrainingState
unpacked = TrainingState.unpacked
def unpacking(*given):
    state = unpacked(*given)
    with open("resumed", "w") as file:
        file.write(str(state.step))
    return state
TrainingState.unpacked = unpacking
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_killed_batch_goes_on_from_its_checkpoint(tmp_path: Path, *, damaged: bool) -> None:
    assert gdcli(tmp_path, *ONE, sabotage=KILLED)[0] == -9
    (kept,) = (tmp_path / "results" / "run" / ".gdcli" / "checkpoints").iterdir()
    if damaged:
        kept.write_bytes(kept.read_bytes()[:-1])
    assert gdcli(tmp_path, *ONE, sabotage=TOLD)[0] == 0
    assert (tmp_path / "resumed").is_file() != damaged
    assert not kept.parent.exists()
    check_tables(tmp_path, ONE)


def test_the_next_worker_goes_on_from_a_killed_ones_checkpoint(tmp_path: Path) -> None:
    code, lines = gdcli(tmp_path, *TWO, sabotage=KILLED + TOLD)
    again = [f"batch {index} is tried again: its worker ended by SIGKILL" for index in (0, 1)]
    assert (code, sorted(lines)[:2]) == (0, again)
    # Killed after four epochs of 120 examples in batches of 8 or 9, whichever was told of last.
    assert int((tmp_path / "resumed").read_text()) in (4 * 15, 4 * 14)
    check_tables(tmp_path, TWO)


def check_tables(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "whole").mkdir()
    assert gdcli(folder / "whole", *command)[0] == 0
    assert tables(folder / "results" / "run") == tables(folder / "whole" / "results" / "run")
