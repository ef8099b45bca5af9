"""`gdcli check` and `gdcli new`: what is written is whole, and what is broken is said."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from gdcli.experiment.toml import SCHEMA_FILE
from tests.own_code import BOWL, RULE, write

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

KINDS = ["problem", "optimizer", "method", "wrapper", "schedule", "experiment"]


def test_a_file_is_checked_law_by_law(shell: Shell) -> None:
    write(shell.folder, "my_bowl.py", BOWL)
    assert shell("check", "./my_bowl.py", "--format", "json") == 0
    rows = json.loads(shell.out)
    assert {row["of"] for row in rows} == {"problem"}
    assert {row["result"] for row in rows} == {"passed"}
    assert {"data", "determinism", "purity", "gradient", "grid"} <= {row["law"] for row in rows}


def test_a_broken_law_is_exit_code_1(shell: Shell) -> None:
    text = BOWL.replace("self.stiffness * point\n", "point\n")
    write(shell.folder, "both.py", text + RULE.partition("annotations\n")[2])
    assert shell("check", "both.py") == 1
    lines = [line.split(maxsplit=3) for line in shell.out.splitlines()]
    results = {(of, law): result for of, law, result, _ in lines[1:]}
    assert results["problem", "gradient"] == "failed"
    assert {result for (of, _), result in results.items() if of == "optimizer"} == {"passed"}


def test_a_class_and_a_name_are_checked_too(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shell.folder, "bowls_of_mine.py", BOWL)
    monkeypatch.syspath_prepend(shell.folder)
    assert shell("check", "bowls_of_mine:MyBowl", "--format", "csv") == 0
    assert shell("check", "cosine", "--format", "csv") == 0
    assert shell.out.startswith("of,law,result,detail\nschedule,options,passed,final\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (:\n", "mine.py:1: it is not Python: invalid syntax; "),
        ("x = 1\n", " holds no problem, optimizer, wrapper, schedule or measure; "),
        (
            RULE + RULE.replace("MyRule", "Other").partition("\n\n\n")[2],
            "mine.py:20: it holds more",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_exit_code_2(shell: Shell, text: str, said: str) -> None:
    write(shell.folder, "mine.py", text)
    (line,) = shell.refuses("check", "mine.py")
    assert said in line  # after the path, which is shortened where the line gets long
    (line,) = shell.refuses("check", "nothing.py")
    assert line.startswith("gdcli check: 'nothing.py': no such file or directory; ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_and_its_test_work_as_they_are(shell: Shell, kind: str) -> None:
    assert shell("new", kind, f"my-{kind}") == 0
    names = sorted(file.name for file in shell.folder.iterdir())
    ending = "toml" if kind == "experiment" else "py"
    schema = [SCHEMA_FILE] if kind == "experiment" else []
    assert names == [*schema, f"my_{kind}.{ending}", f"test_my_{kind}.py"]
    assert all(name in shell.out for name in names)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    told = shell.err.strip().removeprefix("to try it: gdcli ").split()
    more = () if kind == "experiment" else ("--epochs", "3")
    assert shell(*told, *more, "-q") == 0


def test_an_experiments_starter_is_completed_and_checked_by_the_schema_beside_it(
    shell: Shell,
) -> None:
    assert shell("new", "experiment", "mine") == 0
    text = Path("mine.toml").read_text()
    assert text.startswith("#:schema ./gdcli.schema.json\n")
    kept = Path(SCHEMA_FILE).read_text()
    assert shell("schema") == 0
    assert kept == shell.out
    checks = Draft202012Validator(json.loads(kept))
    checks.validate(tomllib.loads(text))
    assert not checks.is_valid(tomllib.loads(text.replace("epochs", "epoch")))


def test_a_schema_that_is_there_is_left_as_it_is(shell: Shell) -> None:
    shell.write(SCHEMA_FILE, "{}")
    assert shell("new", "experiment", "mine") == 0
    assert Path(SCHEMA_FILE).read_text() == "{}"
    assert SCHEMA_FILE not in shell.out


@pytest.mark.parametrize("kind", KINDS[:5])
def test_a_starter_is_as_well_kept_as_gdclis_own_code(shell: Shell, kind: str) -> None:
    assert shell("new", kind, "my_own") == 0
    root = Path(__file__).parents[3]
    ours = f"--config={root / 'pyproject.toml'}", '--config=lint.isort.known-first-party=["gdcli"]'
    command = [sys.executable, "-m", "ruff", "check", *ours]
    done = subprocess.run([*command, "my_own.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten(shell: Shell) -> None:
    assert shell("new", "problem", "mine") == 0
    Path("mine.py").write_text("# hours of work\n")
    (line,) = shell.refuses("new", "schedule", "mine")
    assert line == "gdcli new: 'mine.py' exists; give another name, or move it"
    Path("mine.py").unlink()
    (line,) = shell.refuses("new", "problem", "mine")
    assert line.startswith("gdcli new: 'test_mine.py' exists; ")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("problm", "mine", "there is no starter for 'problm'; did you mean 'problem'?"),
        ("problem", "../mine", "'../mine' cannot name a file; "),
        ("problem", "", "'' cannot name a file; "),
        ("problem", "a\x1b[31m", r"'a\x1b[31m' cannot name a file; "),
        ("problem", "[bold]x", "'[bold]x' cannot name a file; "),
        (
            "problem",
            "random",
            "'random' is a word or module of Python, which random.py would hide; ",
        ),
        (
            "optimizer",
            "torch",
            "'torch' is a word or module of Python, which torch.py would hide; give an",
        ),
        ("schedule", "class", "'class' is a word or module of Python, which class.py would hide; "),
        ("optimizer", "adam", "there is an optimizer 'adam' already; "),
    ],
)
def test_a_name_that_will_not_do_is_refused(shell: Shell, kind: str, name: str, said: str) -> None:
    (line,) = shell.refuses("new", kind, name)
    assert line.startswith(f"gdcli new: {said}")
