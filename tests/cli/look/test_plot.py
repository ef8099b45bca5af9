"""`gdcli plot`: a picture in the terminal, as numbers, or as a file."""

from __future__ import annotations

import csv
import io
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from gdcli.runs import manifest
from gdcli.runs.spec import FORMAT
from tests.cli.command_line import Shell, gdcli
from tests.run_folders import Made, write_run

if TYPE_CHECKING:
    from pathlib import Path

RUN = ("run", "quadratic", "--lr", "0.05,0.1,50", "--seed", "0:1", "--epochs", "5", "--name", "a")


@pytest.fixture
def run(shell: Shell) -> Shell:
    assert shell(*RUN, "--quiet") == 0
    return shell


def test_without_a_file_it_draws_in_the_terminal(run: Shell) -> None:
    assert run("plot", "a") == 0
    assert run.out.startswith("Median training loss over seeds, each setting at its best")
    assert "a gd vanilla lr 0.1" in run.out
    assert not run.err


@pytest.mark.parametrize("kind", ["sensitivity", "heatmap", "multiples"])
def test_every_kind_is_drawn_in_the_terminal(run: Shell, kind: str) -> None:
    assert run("plot", "a", "--kind", kind) == 0
    assert "training loss" in run.out.splitlines()[0]
    assert "diverged" in run.out


def test_what_diverged_is_named_under_the_sensitivity(run: Shell) -> None:
    assert run("plot", "a", "--kind", "sensitivity") == 0
    assert "a gd vanilla, diverged at 50" in run.out


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_a_file_is_written_and_replaced(run: Shell, suffix: str) -> None:
    file = run.folder / f"curves{suffix}"
    for _ in range(2):
        assert run("plot", "a", "-o", file.name) == 0
        assert run.errors == [f"the picture is in {file.name}"]
        assert not run.out
    assert file.stat().st_size > 1000


def test_the_points_are_there_as_csv_and_json(run: Shell) -> None:
    assert run("plot", "a", "--kind", "sensitivity", "--format", "json") == 0
    rows = json.loads(run.out, parse_constant=pytest.fail)
    assert [row["median"] for row in rows][-1] == "inf"
    assert run("plot", "a", "--kind", "sensitivity", "--format", "csv") == 0
    assert [float(row["learning rate"]) for row in csv.DictReader(io.StringIO(run.out))] == [
        *(0.05, 0.1, 50.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--kind", "line"), "--kind: 'line' is not one of curves, sensitivity, heatmap, multip"),
        (("--x", "lr"), "--x: it is an axis of a heatmap, and --kind is curves; add --kind heat"),
        (("--kind", "heatmap", "--y", "lr"), "--y: 'lr' is the other axis, too; give two"),
        (("--metric", "loss"), "--metric: the run has no 'loss'; give one of train_loss"),
        (("-o", "a.gif"), "--output: 'a.gif' does not end in .png, .svg or .pdf; name it a.png"),
        (("-o", "no/a.png"), "--output: 'no/a.png' is in no folder that exists; give a file"),
        (("-o", "d.png"), "--output: 'd.png' is a folder; give a file"),
    ],
)
def test_mistakes_are_named(run: Shell, arguments: tuple[str, ...], error: str) -> None:
    (run.folder / "d.png").mkdir()
    (line,) = run.refuses("plot", "a", *arguments)
    assert line.startswith(error)


def test_a_run_that_is_not_finished_says_so(run: Shell) -> None:
    (run.folder / "results/a/manifest.json").unlink()
    (line,) = run.refuses("plot", "a")
    assert line.startswith("'a': the run is not finished; give its command again")


def finish(folder: Path) -> None:
    """Write what vouches for the tables of a run."""
    (folder / "experiment.toml").write_text("")
    settings: dict[str, object] = {"problem": {"name": "bowl"}, "grid": {}, "vary": {}}
    content = {
        "format": FORMAT,
        "experiment": {"problem": "bowl", "hash": "0", "settings": settings},
        "fingerprint": {"device": "cpu"},
    }
    manifest.write(folder, content, manifest.FILES)


def test_a_run_of_failed_trials_has_nothing_to_draw(run: Shell) -> None:
    write_run(run.folder / "b", [Made([], lr=lr, status="failed") for lr in (0.1, 0.2)])
    finish(run.folder / "b")
    for kind in ("curves", "sensitivity", "multiples"):
        assert run("plot", "b", "--kind", kind) == 0
        assert run.out.splitlines()[1] == "nothing to draw: no trial has a result"


def test_a_panel_without_a_result_says_what_failed(run: Shell) -> None:
    trials = [Made([9.0, 1.0]), Made([], optimizer="adam", status="failed")]
    write_run(run.folder / "b", trials)
    finish(run.folder / "b")
    assert run("plot", "b", "--kind", "multiples") == 0
    assert run.out.splitlines()[-1] == "gd adam; failed: lr 0.1"


def test_a_damaged_run_is_refused(run: Shell) -> None:
    with (run.folder / "results/a/curves.csv").open("a") as file:
        file.write("more")
    (line,) = run.refuses("plot", "a")
    assert line.startswith("results/a/curves.csv: it is not what the run wrote; ")


def test_a_copy_without_hidden_files_is_drawn_without_torch(run: Shell) -> None:
    away = run.folder / "elsewhere/copy"
    shutil.copytree("results/a", away, ignore=shutil.ignore_patterns(".gdcli"))
    code = "main(); print(*sorted({'torch'} & {*sys.modules}), file=sys.stderr)"
    done = gdcli("plot", "copy", "-o", "x.png", "--quiet", folder=away.parent, code=code)
    assert (done.stdout, done.stderr) == ("", "\n")
    assert (away.parent / "x.png").exists()
