"""`gdcli landscape` on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.catalog.catalog import PROBLEMS
from gdcli.fields import options_of
from gdcli.studies.options import Compute, View

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

SMALL = ("landscape", "rosenbrock", "--steps", "20", "--lr", "0.001,0.1", "--resolution", "9")


def test_the_picture_is_printed(shell: Shell) -> None:
    assert shell(*SMALL) == 0
    lines = shell.out.splitlines()
    assert lines[:2] == [
        "Training loss over all parameters, point[0] and point[1]",
        "x: point[0]; y: point[1]; 9 x 9 points",
    ]
    assert lines[-1] == " b gd vanilla lr 0.1, to B: diverged"
    assert not shell.err
    assert not list(Path().iterdir())


def test_the_other_forms_have_a_row_a_trial(shell: Shell) -> None:
    assert shell(*SMALL, "--format", "json") == 0
    one, two = json.loads(shell.out)
    assert (one["lr"], one["off_plane"], one["diverged"]) == (0.001, 0, False)
    assert two["diverged"] is True
    assert shell(*SMALL, "--format", "csv") == 0
    assert shell.out.splitlines()[0].endswith(",x,y,off_plane,train_loss,diverged")
    assert shell(*SMALL, "--format", "md") == 0
    assert shell.out.startswith("| trial | method |")


def test_pictures_and_tables_are_written(shell: Shell) -> None:
    assert shell(*SMALL, "-o", "map.csv", "-o", "map.svg", "--output", "map.PNG") == 0
    assert shell.errors == [
        "written: map.csv, map-ways.csv, map.json",
        "written: map.svg",
        "written: map.PNG",
    ]
    with Path("map.csv").open() as file:
        points = list(csv.DictReader(file))
    assert len(points) == 81
    for point in points:
        x, y, loss = (float(point[name]) for name in ("x", "y", "train_loss"))
        assert loss == pytest.approx((1 - x) ** 2 + 100 * (y - x * x) ** 2, rel=1e-12)
    with Path("map-ways.csv").open() as file:
        ways = list(csv.DictReader(file))
    assert [ways[0][name] for name in ("step", "x", "y", "off_plane")] == [
        "0",
        "-1.2",
        "1.0",
        "0.0",
    ]
    assert len({way["trial"] for way in ways}) == 2
    assert Path("map.PNG").read_bytes().startswith(b"\x89PNG")
    assert "gd vanilla lr 0.001" in Path("map.svg").read_text()


def test_an_experiment_file_says_the_same(shell: Shell) -> None:
    problem = '[problem]\nname = "quadratic"\ncondition = 10.0\n'
    grid = '[grid]\nlr = [0.05, 0.1]\nsteps = 20\nmeasure = "sharpness"\n'
    file = shell.write("bowl.toml", problem + grid)
    few = ("--resolution", "5", "--format", "csv")
    typed = ("quadratic", "--condition", "10", "--lr", "0.05,0.1", "--steps", "20")
    assert shell("landscape", *typed, *few) == 0
    expected = shell.out
    assert shell("landscape", file, *few) == 0
    assert shell.out == expected
    assert shell("landscape", file, "--set", "lr=0.1", *few) == 0
    assert len(shell.out.splitlines()) < len(expected.splitlines())
    (error,) = shell.refuses("landscape", file, "--set", "measure=sharpness")
    assert error == "--set measure: gdcli landscape takes no measure from a file; leave it out"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quadratci",), "gdcli landscape: there is no problem 'quadratci'; did you mean"),
        (
            ("quadratic", "-o", "a.gif"),
            "--output: 'a.gif' does not end in .csv, .png, .svg or .pdf; ",
        ),
        (("quadratic", "--x-range", "2,-1"), "--x-range: 2 is not below -1; give the smaller one"),
        (("quadratic", "--x-range", "2"), "--x-range: '2' is not 2 values; "),
        (("quadratic", "--resolution", "1"), "--resolution: 1 is less than 2; "),
        (("quadratic", "--dim", "1"), "gdcli landscape: a landscape has two directions, and"),
        (("mlp", "--device", "tpu"), "--device: 'tpu' is not a device; "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("landscape", *arguments)
    assert line.startswith(said)


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_a_problem_s_options_are_its_own(name: str) -> None:
    others = {option for cls in (View, Compute) for option in options_of(cls)}
    assert not others & set(options_of(PROBLEMS.find(name, "")))
