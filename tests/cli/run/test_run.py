"""`gdcli run`: what is typed is what is run, saved or planned."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from gdcli.cli.app import main
from gdcli.executors.execute import Outcome
from gdcli.experiment.toml import load
from tests.experiments import experiments

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment
    from tests.cli.command_line import Shell

SMALL = ("run", "quadratic", "--lr", "0.1,0.05", "--epochs", "3")


@settings(max_examples=50)
@given(experiments())
def test_the_command_of_an_experiment_means_the_experiment(experiment: Experiment) -> None:
    with mock.patch("gdcli.cli.run.perform", return_value=0) as perform:
        assert main(experiment.command()) == 0
    found = perform.call_args.args[0]
    assert found.hash == experiment.hash
    assert found.tables() == experiment.tables()


@pytest.mark.parametrize(
    ("typed", "formulas", "said"),
    [
        ("max(u, 1),(u - 2)**2", ("max(u, 1)", "(u - 2)**2"), "max(u, 1),(u - 2)**2"),
        ("'min(u,max(u, 1))',\"u\"", ("min(u,max(u, 1))", "u"), "min(u,max(u, 1)),u"),
    ],
)
def test_a_value_with_a_comma_can_be_varied(
    typed: str, formulas: tuple[str, ...], said: str, shell: Shell
) -> None:
    with mock.patch("gdcli.cli.run.perform", return_value=0) as perform:
        assert shell("run", "expression", "--vary", f"formula={typed}", "--save", "two.toml") == 0
        assert shell("run", "expression", "--vary", f"formula={typed}") == 0
    found = perform.call_args.args[0]
    assert found.grid.vary == {"formula": formulas}
    assert found.command() == ["run", "expression", f"--vary=formula={said}"]
    assert load(Path("two.toml")).hash == found.hash


def test_every_option_reaches_the_experiment_and_the_run(shell: Shell) -> None:
    with mock.patch("gdcli.cli.run.perform", return_value=0) as perform:
        code = shell(
            *("run", "quadratic", "--no-rotate", "--condition", "5", "--batch-size", "8,16"),
            *("--method", "gd,minibatch", "--optimizer", "momentum", "--steps", "9"),
            *("--vary", "momentum.beta=0.5,0.9", "--vary", "dim=2,3", "--zip", "dim,momentum.beta"),
            *("-o", "out", "--name", "a.b-c", "--overwrite", "--fail-on", "diverged"),
            *("--engine", "reference"),
            *("--format", "json", "-q", "--no-color", "-n"),
        )
    (experiment, options, screen), keywords = perform.call_args
    assert code == 0
    assert experiment.tables() == {
        "problem": {"name": "quadratic", "condition": 5.0, "rotate": False},
        "grid": {
            "method": ("gd", "minibatch"),
            "batch-size": (8, 16),
            "optimizer": ("momentum",),
            "steps": 9,
            "zip": ["dim,momentum.beta"],
        },
        "vary": {"momentum.beta": (0.5, 0.9), "dim": (2, 3)},
    }
    assert (options.output, options.name, options.overwrite) == (Path("out"), "a.b-c", True)
    assert (options.fail_on, options.device) == (("diverged",), "auto")
    assert options.engine == "reference"
    assert (screen.format, screen.quiet, screen.verbose, screen.no_color) == (
        *("json", True, False, True),
    )
    assert keywords == {"dry_run": True}


def test_a_run_leaves_its_folder_and_prints_its_results(shell: Shell) -> None:
    assert shell(*SMALL) == 0
    (folder,) = (shell.folder / "results").iterdir()
    assert {"curves.csv", "summary.csv", "manifest.json"} <= {f.name for f in folder.iterdir()}
    assert shell.errors == [f"the results are in results/{folder.name}"]
    assert "vanilla" in shell.out
    assert "\x1b" not in shell.out
    table = shell.out
    assert shell("show", folder.name) == 0
    assert shell.out == table
    assert shell("show", f"results/{folder.name}", "--format", "json") == 0
    (row,) = json.loads(shell.out)
    assert row["optimizer"] == "vanilla"


def test_quiet_prints_the_results_alone(shell: Shell) -> None:
    assert shell(*SMALL, "--quiet", "--format", "csv") == 0
    assert not shell.err
    assert shell.out.startswith("method,")


def test_a_dry_run_writes_nothing(shell: Shell) -> None:
    assert shell(*SMALL, "--dry-run") == 0
    assert not list(shell.folder.iterdir())
    assert shell.out
    assert shell(*SMALL, "-n", "--format", "json") == 0
    assert [row["lr"] for row in json.loads(shell.out)]


def test_quiet_prints_the_runs_path_for_the_next_command(shell: Shell) -> None:
    for _ in ("computed", "there already"):
        assert shell(*SMALL, "--name", "a", "--quiet") == 0
        assert (shell.out, shell.err) == ("results/a\n", "")
    assert shell("show", shell.out.strip(), "--quiet") == 0
    assert shell.out.startswith("The best learning rate of gd vanilla is 0.1: ")
    assert shell(*SMALL, "--name", "a", "--quiet", "--format", "csv") == 0
    assert shell.out.startswith("method,")
    part = (*SMALL, "--optimizer", "vanilla,adam", "--name", "b", "--quiet", "--shard")
    for share, printed in (("1/2", ""), ("2/2", "results/b\n")):  # first none to go on with
        assert shell(*part, share) == 0
        assert shell.out == printed
    assert shell("merge", "a", "-o", "c", "--quiet") == 0
    assert shell.out == "c\n"


def test_a_saved_experiment_names_the_schema_beside_it(shell: Shell) -> None:
    assert shell(*SMALL, "--save", "a.toml") == 0
    without = Path("a.toml").read_text()
    assert shell("schema", "-o", "gdcli.schema.json") == 0
    assert shell.errors == ["wrote gdcli.schema.json; run this again after an update of gdcli"]
    assert shell(*SMALL, "--save", "a.toml") == 0  # it says nothing else
    assert Path("a.toml").read_text() == "#:schema ./gdcli.schema.json\n" + without
    schema = json.loads(Path("gdcli.schema.json").read_text())
    Draft202012Validator(schema).validate(tomllib.loads(Path("a.toml").read_text()))
    assert load(Path("a.toml")).hash == load(Path(shell.write("b.toml", without))).hash
    Path("sub").mkdir()
    assert shell(*SMALL, "--save", "sub/a.toml") == 0
    assert Path("sub/a.toml").read_text() == without


def test_a_schema_goes_to_a_json_file_in_a_folder_that_exists(shell: Shell) -> None:
    (line,) = shell.refuses("schema", "-o", "a.txt")
    assert line == "--output: 'a.txt' does not end in .json; name it a.json"
    (line,) = shell.refuses("schema", "-o", "no/a.json")
    assert line.startswith("--output: 'no/a.json' is in no folder that exists; ")


def test_a_saved_experiment_means_the_command(shell: Shell) -> None:
    assert shell(*SMALL, "--save", "a.toml") == 0
    assert shell.errors == ["saved, not run; to run it: gdcli sweep a.toml"]
    assert [path.name for path in shell.folder.iterdir()] == ["a.toml"]
    experiment = load(Path("a.toml"))
    assert experiment.command() == ["run", "quadratic", "--lr=0.1,0.05", "--epochs=3"]


def test_saving_replaces_no_other_experiment(shell: Shell) -> None:
    assert shell(*SMALL, "--save", "a.toml") == 0
    assert shell(*SMALL, "--save", "a.toml") == 0  # the same again
    other = ("run", "saddle", "--save", "a.toml")
    (line,) = shell.refuses(*other)
    assert line.startswith("--save: 'a.toml' exists and holds something else; ")
    assert load(Path("a.toml")).problem == "quadratic"
    assert shell(*other, "--overwrite") == 0
    assert load(Path("a.toml")).problem == "saddle"


@pytest.mark.parametrize(
    ("fail_on", "failed", "diverged", "code"),
    [
        ("failed", 0, 1, 0),
        ("failed", 1, 0, 1),
        ("diverged", 0, 1, 1),
        ("diverged", 1, 0, 1),
        ("diverged", 0, 0, 0),
        ("none", 1, 1, 0),
        ("failed,diverged", 1, 1, 1),
    ],
)
def test_the_exit_code_is_what_fail_on_says(
    shell: Shell, fail_on: str, failed: int, diverged: int, code: int
) -> None:
    fields: dict[str, Any] = dict.fromkeys(Outcome._fields, 0)
    outcome = Outcome(**{**fields, "folder": Path("x"), "failed": failed, "diverged": diverged})
    with (
        mock.patch("gdcli.executors.execute.execute", return_value=outcome),
        mock.patch("gdcli.report.results.diagnoses_of"),
        mock.patch("gdcli.report.results.print_results"),
    ):
        assert shell("run", "quadratic", "--fail-on", fail_on) == code
    why = "1 diverged of 0 trials: --fail-on makes the exit code 1"
    assert shell.errors == [
        *failed * ["1 of 0 trials failed: see x/summary.csv; --retry-failed runs them again"],
        "the results are in x",
        *([why] if diverged and "diverged" in fail_on else []),
    ]


def test_divergence_is_a_result(shell: Shell) -> None:
    diverging = ("run", "quadratic", "--lr", "1000", "--epochs", "30")
    assert shell(*diverging) == 0
    assert shell(*diverging, "--fail-on", "diverged") == 1


@pytest.mark.parametrize(
    ("fail_on", "said"),
    [
        ("at-the-minimum", "2 at-the-minimum of 3 trials"),
        ("flat,diverged", "2 flat, 1 diverged of 3 trials"),
        ("blew-up", "1 blew-up of 3 trials"),
        ("bouncing,chance-level", ""),
        ("diverged,still-falling", "1 diverged of 3 trials"),
    ],
)
def test_any_state_or_quality_can_make_the_exit_code_1(
    shell: Shell, fail_on: str, said: str
) -> None:
    grid = ("--lr", "0.05,0.1,1", "--steps", "300")
    run = ("run", "quadratic", *grid, "--name", "a", "--fail-on", fail_on)
    for _ in range(2):  # also where nothing is left to do
        assert shell(*run) == bool(said)
        line = f"{said}: --fail-on makes the exit code 1"
        assert [error for error in shell.errors if "--fail-on" in error] == [line] * bool(said)


def test_a_shard_without_the_others_is_judged_by_what_it_counts(shell: Shell) -> None:
    lrs = ",".join(str(1 + k / 1000) for k in range(300))
    run = ("run", "quadratic", "--lr", lrs, "--optimizer", "vanilla,adam", "--name", "a")
    assert shell(*run, "--shard", "1/2", "--fail-on", "still-falling,diverged") == 1
    assert shell.errors[-1].endswith(" diverged of 600 trials: --fail-on makes the exit code 1")


def test_none_and_a_state_contradict_each_other(shell: Shell) -> None:
    (error,) = shell.refuses("run", "quadratic", "--fail-on", "none,flat")
    assert error == "--fail-on: none stands beside other outcomes; give none alone, or leave it out"


def test_a_dry_run_refuses_what_the_run_would_refuse(shell: Shell) -> None:
    (error,) = shell.refuses("run", "quadratic", "--memory", "1kB", "--dry-run")
    assert error.startswith("--memory: ")
