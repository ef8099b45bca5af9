"""`gdcli explore` on the command line."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.catalog.catalog import PROBLEMS
from gdcli.cli import studies
from gdcli.cli.options import Screen
from gdcli.cli.studies import ExploreFiles
from gdcli.engine.examples import load
from gdcli.engine.families.family import family_of
from gdcli.fields import options_of
from gdcli.process import Interrupted
from gdcli.studies.explore import dynamics
from gdcli.studies.options import Compute, DataMap
from tests.own_code import NET, write

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

WINE = ("explore", "softmax-regression", "--dataset", "wine", "--epochs", "5")


def test_it_leaves_a_folder_whose_manifest_vouches_for_it(shell: Shell) -> None:
    assert shell(*WINE, "--flip-labels", "0.1", "--lr", "0.1,0.5") == 0
    (folder,) = Path("results").iterdir()
    assert folder.name.startswith("explore-softmax-regression-")
    assert shell.errors == [f"the examples are in {folder}/examples.csv"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest["files"]) == ["correlations.csv", "examples.csv", "settings.csv"]
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum["sha256"]
    assert manifest["options"]["flip_labels"] == 0.1
    assert manifest["trials"] == {"finished": 2, "diverged": 0}
    with (folder / "examples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * manifest["examples"]
    assert sum(row["flipped"] == "True" for row in rows) == 2 * 14


def test_the_same_command_leaves_the_same_bytes(shell: Shell) -> None:
    assert shell(*WINE) == 0
    (folder,) = Path("results").iterdir()
    first = (folder / "examples.csv").read_bytes()
    (folder / "manifest.json").unlink()  # as if the first had been interrupted
    assert shell(*WINE, "--quiet") == 0
    assert not shell.err
    assert [folder] == list(Path("results").iterdir())
    assert (folder / "examples.csv").read_bytes() == first


FILE = """\
[problem]
name = "softmax-regression"
dataset = "wine"

[grid]
lr = 0.5
epochs = 5
record = "2"
target-loss = 0.3
"""


def test_an_experiment_file_says_the_same(shell: Shell) -> None:
    assert shell(*WINE, "--lr", "0.5", "--folder", "typed") == 0
    file = shell.write("wine.toml", FILE)
    assert shell("explore", file, "--folder", "typed", "--format", "csv") == 0  # it is the same one
    assert shell("explore", file, "--set", "lr=0.1", "--folder", "set") == 0
    assert shell(*WINE, "--lr", "0.1", "--folder", "set") == 0
    for wrong in ("lr=0", "rate=1"):
        assert shell.refuses("explore", file, "--set", wrong)[0].startswith("--set ")
    odd = shell.write("odd.toml", FILE.replace("0.5", "-1"))
    (error,) = shell.refuses("explore", odd)
    assert error.startswith("odd.toml:6: lr: -1.0 is not more than 0; ")
    assert shell.refuses("explore", "none.toml")[0].startswith("none.toml: no such file")
    (error,) = shell.refuses("explore", file, "--set", "record=2")
    assert error == "--set record: gdcli explore takes no record from a file; leave it out"
    (error,) = shell.refuses("run", file)
    assert error.startswith("gdcli run: 'wine.toml' is an experiment file, which gdcli run does ")
    assert shell("explore", "--help") == 0
    assert "FILE.toml" in shell.out


def test_a_folder_of_something_else_is_left_alone(shell: Shell) -> None:
    assert shell(*WINE, "--folder", "mine") == 0
    (error,) = shell.refuses(*WINE, "--ambiguous-from", "0.3", "--folder", "mine")
    assert error == "--folder: 'mine' holds something else; give another folder, or remove it"
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("all of it")
    assert shell.refuses(*WINE, "--folder", "full")
    assert shell.refuses(*WINE, "--folder", "full/thesis.txt")


def test_what_it_leaves_is_no_run(shell: Shell) -> None:
    assert shell(*WINE, "--folder", "results/mine") == 0
    assert shell("runs") == 0
    assert "mine" not in shell.out
    (error,) = shell.refuses("show", "mine")
    assert "there is no such run" in error


def test_a_page_can_be_written(shell: Shell) -> None:
    assert shell(*WINE, "-o", "map.html") == 0
    assert shell.errors[1].startswith("the data maps are in map.html (")
    assert Path("map.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    (folder,) = Path("results").iterdir()
    for _ in range(2):  # it may lie in the folder, where it is no stranger
        assert shell(*WINE, "-o", f"{folder}/map.html") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sotfmax-regression",), "gdcli explore: there is no problem 'sotfmax-regression'; did"),
        (("quadratic",), "gdcli explore: quadratic has no loss of a single example; take a "),
        (("linear-regression", "--flip-labels", "0.1"), "--flip-labels: linear-regression predi"),
        (("mlp", "--flip-labels", "1"), "--flip-labels: 1.0 is not less than 1"),
        (("mlp", "--ambiguous-from", "0.6"), "--ambiguous-from: 0.6 is more than 0.5; "),
        (("mlp", "--record", "step"), "--record: there is no such option; "),
        (
            ("mlp", "--workers", "2"),
            "--workers: 2 processes are asked for, and explore uses only one",
        ),
        (("mlp", "-o", "map.pdf"), "--output: 'map.pdf' does not end in .html or .htm; "),
        (("mlp", "--vary", "test-fraction=0.1,0.2"), "--vary: the grid varies the examples"),
        (("mlp", "--memory", "100kB"), "--memory: what is kept of 1438 examples needs "),
        (("mlp", "--device", "tpu"), "--device: 'tpu' is not a device; "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("explore", *arguments)
    assert line.startswith(said)


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_a_problem_s_options_are_its_own(name: str) -> None:
    others = {
        option for cls in (DataMap, ExploreFiles, Compute, Screen) for option in options_of(cls)
    }
    assert not others & set(options_of(PROBLEMS.find(name, "")))


def test_the_help_lists_the_problems_that_are_explored(shell: Shell) -> None:
    assert shell("explore", "--help") == 0
    listed = {name for name in PROBLEMS.names() if f"    {name} " in shell.out}
    taken = {name for name in PROBLEMS.names() if family_of(PROBLEMS.find(name, "")()).has_examples}
    assert listed == taken
    assert shell("landscape", "--help") == 0
    assert all(f"    {name} " in shell.out for name in PROBLEMS.names())


def test_the_help_has_what_is_its_own(shell: Shell) -> None:
    assert shell("explore", "cnn", "--help") == 0
    assert not [option for option in studies.explore.asks.fixed if f"--{option} " in shell.out]
    assert all(f"--{option} " in shell.out for option in options_of(DataMap))


def test_an_interrupted_exploration_leaves_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(dynamics, "watched", interrupted)
    assert shell(*WINE, "-o", "map.html") == 130
    assert (shell.out, shell.errors) == ("", ["stopped"])
    assert not list(Path().iterdir())


def test_classes_that_a_problem_of_ones_own_names_have_these_names(shell: Shell) -> None:
    text = NET.format(layer="nn.ReLU()")
    named = text.replace(
        ".astype(np.int64)}", '.astype(np.int64)}, classes=("<i>no</i>", "[b]yes")'
    )
    assert named != text
    write(shell.folder, "own.py", named)
    assert shell("explore", "./own.py", "--epochs", "3", "--folder", "e", "--quiet") == 0
    with Path("e/examples.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = {"0": "<i>no</i>", "1": "[b]yes"}
    assert {row["class"] for row in rows} == set(names.values())
    assert all(row["class"] == names[row["label"]] for row in rows)
    assert all(row["predicted_class"] == names[row["predicted"]] for row in rows)
    assert json.loads(Path("e/manifest.json").read_text())["class_names"] == [*names.values()]


def test_an_exploration_of_a_changed_file_is_not_on_the_report(shell: Shell) -> None:
    file = shell.folder / "f.csv"
    rows = [f"{i % 7},{i * i % 11},{'yes' if i % 3 else 'no'}" for i in range(40)]
    file.write_text("\n".join(["a,b,y", *rows, ""]), encoding="utf-8")
    same = ("softmax-regression", "--data", "f.csv", "--target", "y", "--epochs", "3", "--quiet")
    assert shell("run", *same, "--name", "r") == 0
    explored = ("explore", *same, "--folder", "results/r/explore")
    for kept, shown in ((rows, True), (rows[1:], False)):
        file.write_text("\n".join(["a,b,y", *kept, ""]), encoding="utf-8")
        load.cache_clear()  # as in a new process: within one, data are read once
        assert shell(*explored) == 0
        assert shell("report", "r", "-o", "r.html", "--quiet") == 0
        page = (shell.folder / "r.html").read_text(encoding="utf-8")
        assert ("of another problem or data, and is not shown" not in page) == shown
    (line,) = shell.refuses("run", *same, "--name", "r")
    assert "holds another run, which differs in data: the examples are others" in line


def test_images_whose_labels_have_a_file_of_their_own_are_named(shell: Shell) -> None:
    """The target of IDX files is called label, and need not be given."""
    sides, labels = (12, 8, 8), bytes(i % 3 for i in range(12))
    pixels = bytes(i % 251 for i in range(12 * 64))
    images = b"\0\0\x08\x03" + b"".join(side.to_bytes(4, "big") for side in sides) + pixels
    (shell.folder / "train-images-idx3-ubyte").write_bytes(images)
    numbers = b"\0\0\x08\x01" + (12).to_bytes(4, "big") + labels
    (shell.folder / "train-labels-idx1-ubyte").write_bytes(numbers)
    for problem in ("cnn", "mlp"):
        given = ("--data", "train-images-idx3-ubyte", "--epochs", "1", "--folder", problem)
        assert shell("explore", problem, *given, "--quiet") == 0, shell.err
        with (shell.folder / problem / "examples.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert rows
        assert all(int(row["class"]) == labels[int(row["row_from_0"])] for row in rows)
