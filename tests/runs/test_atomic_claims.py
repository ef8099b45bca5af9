"""Locks between processes: each byte to one, gone with its process, and never needed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gdcli.runs import atomic
from gdcli.runs.atomic import Claims, at_work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from gdcli.runs.atomic import Claims
held = Claims(Path(sys.argv[1]))
for action in sys.argv[2:]:
    held.lock_folder() if action == "lock_folder" else print(held.take(int(action)), flush=True)
print("done", flush=True)
sys.stdin.read()
"""


@contextmanager
def another(folder: Path, *actions: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a process that takes bytes and holds them; give it with what it could take."""
    command = [sys.executable, "-c", HOLD, str(folder), *actions]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, [line.strip() for line in iter(process.stdout.readline, "done\n")]
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".gdcli").mkdir()
    return tmp_path


def test_a_byte_is_one_processs(folder: Path) -> None:
    mine = Claims(folder)
    assert mine.take(0)
    assert mine.take(0)  # its own
    with another(folder, "0", "1") as (_, taken):
        assert taken == ["False", "True"]
        assert not mine.take(1)
        mine.release(0)
        with another(folder, "0") as (_, others):
            assert others == ["True"]


def test_a_dead_process_holds_nothing(folder: Path) -> None:
    mine = Claims(folder)
    with another(folder, "3", "lock_folder") as (process, _):
        assert not mine.take(3)
        process.kill()
        process.wait()
        assert mine.take(3)
    mine.close()
    assert not at_work(folder)


def test_who_is_at_work_is_seen_between_batches_too(folder: Path) -> None:
    assert not at_work(folder)
    with another(folder, "lock_folder"), another(folder, "lock_folder") as (second, _):
        assert at_work(folder)
        second.kill()
        second.wait()
        assert at_work(folder)
    assert not at_work(folder)
    assert not at_work(folder / "nowhere")


def test_one_process_at_a_time_writes_the_tables(folder: Path) -> None:
    mine = Claims(folder)
    with mine.tables(print) as certain:
        assert certain
        with another(folder, str(atomic.TABLES)) as (_, taken):
            assert taken == ["False"]
    with another(folder, str(atomic.TABLES)) as (_, taken):
        assert taken == ["True"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
def test_without_a_lock_service_everyone_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_service(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic, "lockf", no_service)
    mine, other = Claims(folder), Claims(folder)
    assert mine.take(0)
    assert other.take(0)
    mine.lock_folder()
    assert not at_work(folder)
    with mine.tables(print) as certain, other.tables(print):
        assert not certain
    mine.release(0)


def test_a_link_in_place_of_the_locks_is_not_followed(folder: Path) -> None:
    target = folder / "precious"
    target.write_text("mine")
    (folder / ".gdcli" / "claims").symlink_to(target)
    with pytest.raises(OSError, match="claims"):
        Claims(folder)
    assert not at_work(folder)
    assert target.read_text() == "mine"


def test_tables_whose_claim_shows_no_sign_of_work_are_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "PATIENCE", 0)
    monkeypatch.setattr(atomic, "LOOK", 0)
    told: list[str] = []
    with another(folder, str(atomic.TABLES)), Claims(folder).tables(told.append) as certain:
        assert not certain
    (line,) = told
    assert line.startswith("waiting for a process that writes the tables, unless there is no sign")


def test_what_changes_is_a_sign_of_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    signs = atomic.Signs(folder)
    assert not signs.missing(0)
    now[0] = 99
    assert not signs.missing(0)
    (folder / ".gdcli" / "shards").mkdir()
    now[0] = 150
    assert not signs.missing(0)  # a batch was done meanwhile
    assert not signs.missing(1)
    now[0] = 251
    assert signs.missing(0)
