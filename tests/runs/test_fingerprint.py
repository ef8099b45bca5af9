"""Large files that a run has read: known by their stamps, converted once, and never when stale."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from gdcli.datasets import contents
from gdcli.datasets.matrices import FileInParts
from gdcli.engine import examples
from gdcli.errors import UserError
from gdcli.executors.execute import Outcome, check, execute
from gdcli.runs import fingerprint
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.run import Run
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gdcli.experiment.experiment import Experiment

ROWS = "x,y\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(50))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file that is taken for a large one, which was not changed just now."""
    monkeypatch.setattr(fingerprint, "LARGE", len(ROWS))
    monkeypatch.setattr(contents, "SETTLED", 0)
    written = tmp_path / "big.csv"
    written.write_text(ROWS)
    return written


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are converted from here on, each time that one is."""
    files: list[Path] = []

    measured = FileInParts.measured

    def noting(self: FileInParts) -> object:
        files.append(self.file)
        return measured(self)

    monkeypatch.setattr(FileInParts, "measured", noting)
    return files


def given(file: Path, **grid: str) -> Experiment:
    options = {"data": str(file), "target": "y", "stream": "true"}
    return experiment("linear-regression", options, epochs="2", **grid)


def run(file: Path, **options: object) -> Outcome:
    """Run as a process does that has read nothing yet."""
    examples.load.cache_clear()
    chosen = {"output": file.parent, "name": "run", **options}
    return execute(given(file), RunOptions(**chosen), Silent())  # type: ignore[arg-type]


def test_a_finished_run_of_the_same_file_does_not_read_it(
    file: Path, converted: list[Path]
) -> None:
    first = run(file)
    assert len(converted) == 1
    again = run(file)
    assert again == first._replace(ready=True, computed=0)
    check(given(file), RunOptions(output=file.parent, name="run"))
    assert len(converted) == 1
    run(file, overwrite=True)
    assert len(converted) == 2


def touched(file: Path) -> None:
    os.utime(file)


def copied(file: Path) -> None:
    shutil.copy(file, file.with_name("other"))
    file.with_name("other").replace(file)


def forgotten(file: Path) -> None:
    (file.parent / "run/.gdcli/seen.json").write_text('{"spec": 1}')


@pytest.mark.parametrize("change", [touched, copied, forgotten])
def test_where_the_stamp_is_another_the_content_tells(
    file: Path, converted: list[Path], change: Callable[[Path], None]
) -> None:
    run(file)
    change(file)
    assert run(file).ready
    assert len(converted) == 2
    assert run(file).ready  # the new stamp was kept
    assert len(converted) == 2


@pytest.mark.parametrize("replaced", [True, False])
def test_other_content_of_the_same_size_and_time_is_noticed(file: Path, *, replaced: bool) -> None:
    run(file)
    before = file.stat()
    if replaced:
        file.unlink()
    file.write_text(ROWS.replace("6,", "9,"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    with pytest.raises(UserError, match=r"holds another run, which differs in data"):
        run(file)


def test_small_files_and_fresh_ones_are_read_each_time(
    file: Path, converted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("gdcli.runs.fingerprint.LARGE", 2**20),
        ("gdcli.datasets.contents.SETTLED", 1e12),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            converted.clear()
            run(file, name=name)
            assert run(file, name=name).ready
            assert len(converted) == 2


def test_workers_share_one_conversion(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = given(file, method="gd,sgd", lr="0.1,0.01", optimizer="vanilla,momentum")
    alone = execute(made, RunOptions(output=file.parent, name="alone"), Silent())
    opened = Run.open

    def without_file(self: Run) -> None:
        opened(self)
        file.rename(file.with_name("gone"))  # what was converted is all that workers can read

    monkeypatch.setattr(Run, "open", without_file)
    options = RunOptions(output=file.parent, name="shared", workers=2)
    shared = execute(made, options, Silent())
    for name in ("curves.csv", "summary.csv"):
        assert (shared.folder / name).read_bytes() == (alone.folder / name).read_bytes()
