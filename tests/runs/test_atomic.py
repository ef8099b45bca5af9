"""Files are there whole or not at all."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from gdcli.runs import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD, NEW = b"old\n", [b"new\n", b"", b"lines\n"]


def names(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def test_chunks_are_written_in_order(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == b"new\nlines\n"
    assert names(tmp_path) == ["file"]


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(OLD)

    def chunks() -> Iterator[bytes]:
        for chunk in NEW:
            assert file.read_bytes() == OLD
            yield chunk

    atomic.write(file, chunks())
    assert file.read_bytes() == b"new\nlines\n"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("bug"), KeyboardInterrupt()])
@pytest.mark.parametrize("there", [True, False])
def test_what_goes_wrong_midway_leaves_what_was(
    tmp_path: Path,
    error: BaseException,
    there: bool,  # noqa: FBT001
) -> None:
    file = tmp_path / "file"
    if there:
        file.write_bytes(OLD)

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise error

    with pytest.raises(type(error)):
        atomic.write(file, chunks())
    assert names(tmp_path) == (["file"] if there else [])
    assert not there or file.read_bytes() == OLD


def test_an_exclusive_write_takes_no_place_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "file"
    atomic.write(file, NEW, exclusive=True)
    with pytest.raises(FileExistsError):
        atomic.write(file, [OLD], exclusive=True)
    assert file.read_bytes() == b"new\nlines\n"
    assert names(tmp_path) == ["file"]
    assert file.stat().st_nlink == 1


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.write(tmp_path / "folder" / "file", NEW)
    assert names(tmp_path) == []


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced = tmp_path / "file", list[tuple[bool, int, bool]]()

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        synced.append((stat.S_ISDIR(status.st_mode), size, file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    atomic.write(file, NEW)
    assert synced == [(False, 10, False), (True, 0, True)]


def test_two_writers_at_once_have_temporary_files_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "file"

    def chunks() -> Iterator[bytes]:
        yield b"outer"
        atomic.write(file, [b"inner"])
        assert len(names(tmp_path)) == 2

    atomic.write(file, chunks())
    assert file.read_bytes() == b"outer"
    assert names(tmp_path) == ["file"]


def fill(folder: Path, *parts: str) -> None:
    with atomic.together(folder) as staging:
        for part in parts:
            (staging / part).parent.mkdir(exist_ok=True)
            (staging / part).write_text("new")


def test_files_come_to_a_new_folder_together(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with atomic.together(folder) as staging:
        (staging / "a").write_text("new")
        assert not folder.exists()
    assert names(tmp_path) == ["out"]
    assert names(folder) == ["a"]


def test_files_replace_those_of_a_folder_that_is_there(tmp_path: Path) -> None:
    for name in ("a", "mine"):
        (tmp_path / name).write_text("old")
    fill(tmp_path, "a", "b/c")
    assert names(tmp_path) == ["a", "b", "mine"]
    held = [(tmp_path / name).read_text() for name in ("a", "b/c", "mine")]
    assert held == ["new", "new", "old"]


def test_where_one_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    for folder in (tmp_path, tmp_path / "out"):
        with pytest.raises(IsADirectoryError):
            fill(folder, "a", "b/c", "b")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_temporary_file_of_a_live_process_is_known(tmp_path: Path) -> None:
    assert atomic.is_being_written(tmp_path / f"{atomic.TEMPORARY}{os.getppid()}-0")
    assert not atomic.is_being_written(tmp_path / f"{atomic.TEMPORARY}{os.getpid()}-0")
    for number in ("x", "", "9" * 30, str(2**22 + 1)):  # Linux has no process of such a number
        assert not atomic.is_being_written(tmp_path / f"{atomic.TEMPORARY}{number}-0")
