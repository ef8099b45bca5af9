"""`gdcli report`: a run as a page."""

from __future__ import annotations

import html
import json
import re
import shutil

import pytest

from tests.cli.command_line import Shell, gdcli
from tests.report.pages import curves_of

RUN = ("run", "quadratic", "--lr", "0.1,50", "--epochs", "5", "--name", "a", "--quiet")


@pytest.fixture
def run(shell: Shell) -> Shell:
    assert shell(*RUN) == 0
    return shell


def test_the_page_is_written_and_replaced(run: Shell) -> None:
    for _ in range(2):
        assert run("report", "a") == 0
        assert len(run.errors) == 1
        assert re.fullmatch(r"the page is in report\.html \(\d+ kB\)", run.errors[0])
        assert not run.out
    page = (run.folder / "report.html").read_text()
    assert "quadratic: 2 trials, 1 finished, 1 diverged, 0 failed." in page
    assert "gdcli run quadratic --lr=0.1,50.0 --epochs=5" in page


def test_the_same_run_gives_the_same_page_wherever_it_is(run: Shell) -> None:
    away = run.folder / "elsewhere/a"
    shutil.copytree("results/a", away, ignore=shutil.ignore_patterns(".gdcli", "*.toml"))
    code = "main(); print(*sorted({'torch'} & {*sys.modules}), file=sys.stderr)"
    shutil.copy("results/a/experiment.toml", away)
    done = gdcli("report", "a", "-o", "x.html", "--quiet", folder=away.parent, code=code)
    assert (done.stdout, done.stderr) == ("", "\n")
    assert run("report", "a", "-o", "here.html") == 0
    assert (away.parent / "x.html").read_bytes() == (run.folder / "here.html").read_bytes()


def test_the_page_says_why_as_show_does(run: Shell) -> None:
    assert run("show", "a") == 0
    said = run.out.partition("\nWhy\n")[2].partition("\n\n")[0].splitlines()
    assert said
    assert run("report", "a") == 0
    page = html.unescape((run.folder / "report.html").read_text())
    assert all(f"<li>{line}</li>" in page for line in said)


def test_the_sharpness_that_was_measured_is_on_the_page(run: Shell) -> None:
    network = ("run", "mlp", "--dataset", "iris", "--hidden", "3", "--epochs", "3")
    assert run(*network, "--lr", "0.1,0.5", "--measure", "sharpness", "--name", "b", "--quiet") == 0
    assert run("report", "b") == 0
    page = (run.folder / "report.html").read_text()
    (held,) = re.findall(r'id="data">(.*)</script>', page)
    data = json.loads(held)
    assert "sharpness" in [metric["name"] for metric in data["metrics"]]
    assert all(value > 0 for curve in curves_of(data, "sharpness") for value in curve)
    assert [(edge["lr"], edge["edge"]) for edge in data["edges"]] == [(0.1, 20), (0.5, 4)]


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("a.pdf", "--output: 'a.pdf' does not end in .html or .htm; name it a.html"),
        ("no/a.html", "--output: 'no/a.html' is in no folder that exists; give a file in a"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused(run: Shell, output: str, error: str) -> None:
    (line,) = run.refuses("report", "a", "-o", output)
    assert line.startswith(error)


def test_a_run_that_is_not_finished_says_so(run: Shell) -> None:
    (run.folder / "results/a/manifest.json").unlink()
    (line,) = run.refuses("report", "a")
    assert line.startswith("'a': the run is not finished; ")


@pytest.mark.parametrize("measured", [(), ("--measure", "sharpness")])
def test_the_landscape_of_the_same_grid_is_shown(shell: Shell, measured: tuple[str, ...]) -> None:
    grid = ("quadratic", "--dim", "2", "--lr", "0.01,0.05", "--seed", "0,1", "--epochs", "20")
    assert shell("run", *grid, *measured, "--name", "bowl", "--quiet") == 0
    assert shell("landscape", *grid, "-o", "results/bowl/landscape.csv", "--quiet") == 0
    assert shell("report", "bowl", "-o", "bowl.html") == 0
    page = (shell.folder / "bowl.html").read_text()
    assert "has no path of its trials" not in page
    assert '"paths"' in page
