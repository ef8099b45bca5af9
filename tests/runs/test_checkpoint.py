"""The file of a checkpoint: whole and of its batch, or not there."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from gdcli.runs import atomic, checkpoint
from gdcli.runs.checkpoint import Checkpoint

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


def test_none_is_there_once_it_is_removed(kept: Checkpoint) -> None:
    kept.remove()
    kept.remove()
    assert kept.load() is None


def test_it_is_due_when_the_last_one_is_a_minute_old(
    kept: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not kept.due()
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    assert kept.due()


def test_a_full_disk_does_not_end_the_run(
    kept: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _chunks: Iterable[bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "write", full)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    kept.save({"step": np.array(9)})
    assert not kept.due()
    loaded = kept.load()
    assert loaded is not None
    assert loaded["step"] == 7
