"""The commit that results are of: told by git, which runs nothing that a repository names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gdcli.runs.manifest import commit

NOBODY = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")


def git(*arguments: str) -> str:
    command = ["git", *NOBODY, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one file, in which nothing is changed, as working directory."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    git("init", "-q")
    Path("file").write_text("one\n")
    git("add", "file")
    return folder


def named() -> str | None:
    with commit() as name:
        return name()


def test_a_commit_is_named_and_marked_where_files_are_changed(repository: Path) -> None:
    assert named() is None  # there is none yet
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    (repository / "other").write_text("git does not know it\n")
    os.utime(repository / "file", (1, 1))
    assert named() == head
    (repository / "file").write_text("two\n")
    assert named() == f"{head}-dirty"
    git("add", "file")
    assert named() == f"{head}-dirty"


def test_outside_of_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert named() is None
    monkeypatch.setenv("PATH", "")
    assert named() is None


def test_no_program_of_the_repository_is_run(repository: Path) -> None:
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    ran = repository.parent / "ran"
    git("config", "core.fsmonitor", f"touch {ran}; false")
    os.utime(repository / "file", (1, 1))
    assert named() == head
    (repository / ".gitattributes").write_text("file filter=own\n")
    git("config", "filter.own.clean", f"touch {ran}; cat")
    os.utime(repository / "file", (2, 2))
    assert named() == f"{head}-unchecked"
    assert not ran.exists()
