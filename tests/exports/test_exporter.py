"""Exporters are found; the folder of a trial is safe, whatever a stranger's table says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.exports.exporter import folder_name
from tests.unmeasured import unmeasured

if TYPE_CHECKING:
    from gdcli.runs.csv_read import Value

OWN: dict[str, Value] = {"method": "gd", "optimizer": "adam", "schedule": "constant", "lr": 0.1}


def test_a_folder_says_the_settings_and_the_trial() -> None:
    assert folder_name({"trial": "0123456789ab", **OWN}) == "gd_adam_lr=0.1_0123456789ab"


@pytest.mark.parametrize("trial", ["../../x", "/x", "a\0b", "..", "\u202ex\n", "x" * 5000, "C:\\x"])
def test_no_trial_names_another_folder(trial: str) -> None:
    for settings in ({"trial": trial, **OWN}, {"trial": "1", **OWN, "width": trial}):
        name = folder_name(settings)
        assert Path(name).name == name
        assert name.isascii()
        assert len(name) < 255


ROWS = '''"""The run's losses as lines of text."""

from __future__ import annotations

from pathlib import Path

from gdcli.exports.exporter import RunExporter, refuse_existing


class ToRows(RunExporter):
    """A text."""

    endings = (".txt",)
    printed = True

    def write(self, run, trials, output, *, overwrite):
        refuse_existing([Path(output)], overwrite=overwrite)
        Path(output).write_text("".join(self.lines(run, trials)))
        return ["written in rows"]

    def lines(self, run, trials):
        for trial in run.records(trials):
            yield f"{trial.id} {trial.ends['final_train_loss']}\\n"
'''
SIGNS = '''"""One trial's weights as their signs."""

from __future__ import annotations

from gdcli.exports.exporter import WeightsExporter


class ToSigns(WeightsExporter):
    """A text."""

    endings = (".txt",)

    def content(self, weights):
        (values, *_) = weights.params.values()
        return " ".join(str(int(value > 0)) for value in values.ravel()).encode()
'''
NEEDY = '''"""A form that needs what is not there."""

import no_such_package

'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of gdcli that has three more exporters."""
    folder = tmp_path_factory.mktemp("copy")
    root = Path(__file__).parents[2]
    shutil.copytree(root / "gdcli", folder / "gdcli", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (("rows", ROWS), ("signs", SIGNS), ("needy", NEEDY)):
        (folder / f"gdcli/exports/to_{name}.py").write_text(text)
    return folder


def run(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run the command of the copy; return what it printed as results and besides."""
    done = subprocess.run(
        [sys.executable, "-m", "gdcli", *arguments],
        cwd=folder,
        env=unmeasured(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_one_more_file_is_one_more_exporter(copy: Path) -> None:
    told, _ = run(copy, "export", "--help")
    assert "the run's losses as lines of text" in " ".join(told.split())
    run(copy, "run", "quadratic", "--lr", "0.1", "--epochs", "3", "--name", "a")
    told, _ = run(copy, "export", "a", "--to", "rows")
    assert len(told.split()) == 2
    assert run(copy, "export", "a", "--to", "rows", "-o", "a.txt")[1].startswith("written in rows")
    assert (copy / "a.txt").read_text() == told
    _, mistake = run(copy, "export", "a", "--to", "rows", "-o", "a.csv", code=2)
    assert "does not end in .txt" in mistake
    run(copy, "export", "a", "--to", "signs", "-o", "signs.txt")
    assert set((copy / "signs.txt").read_text()) <= {"0", "1", " "}
    _, mistake = run(copy, "export", "a", "--to", "signs", code=2)
    assert "signs cannot be printed; give a file that ends in .txt" in mistake
    _, mistake = run(copy, "export", "a", "--to", "needy", code=2)
    assert "needy needs no_such_package, which is not installed" in mistake
    _, mistake = run(copy, "export", "a", "--to", "row", code=2)
    assert "did you mean 'rows'?" in mistake
