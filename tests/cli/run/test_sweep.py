"""`gdcli sweep`: experiments from files, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from gdcli.errors import RunError

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.options import RunOptions
    from tests.cli.command_line import Shell

SMALL = '[problem]\nname = "{}"\n[grid]\nlr = [0.1, 0.05]\nepochs = 3\n'


@pytest.fixture
def files(shell: Shell) -> list[str]:
    names = {"one.toml": "quadratic", "two.toml": "saddle"}
    return [shell.write(file, SMALL.format(problem)) for file, problem in names.items()]


def test_each_file_is_a_run_of_its_name(shell: Shell, files: list[str]) -> None:
    assert shell("sweep", *files) == 0
    assert sorted(f.name for f in (shell.folder / "results").iterdir()) == ["one", "two"]
    assert shell.errors == [f"the results are in results/{name}" for name in ("one", "two")]
    assert shell.out.index("one\n===\n") < shell.out.index("two\n===\n")


def test_quiet_prints_a_path_a_file(shell: Shell, files: list[str]) -> None:
    assert shell("sweep", *files, "--quiet") == 0
    assert (shell.out, shell.err) == ("results/one\nresults/two\n", "")


def test_a_run_can_be_given_another_name(shell: Shell, files: list[str]) -> None:
    assert shell("sweep", files[0], "--name", "other", "-o", "out") == 0
    assert (shell.folder / "out" / "other" / "curves.csv").is_file()


def test_a_setting_replaces_that_of_every_file(shell: Shell, files: list[str]) -> None:
    with mock.patch("gdcli.cli.run.perform", return_value=0) as perform:
        assert shell("sweep", *files, "--set", "lr=0.5", "--set", "seed=0:1", "-n") == 0
    for call, name in zip(perform.call_args_list, ("one", "two"), strict=True):
        (experiment, options, _), keywords = call
        assert [(t.lr, t.seed) for t in experiment.grid.trials] == [(0.5, 0), (0.5, 1)]
        assert (options.name, keywords) == (name, {"dry_run": True})


def test_what_a_run_cannot_do_stops_no_other(shell: Shell, files: list[str]) -> None:
    def perform(experiment: Experiment, options: RunOptions, *_: Any, **__: Any) -> int:
        if options.name == "one":
            raise RunError("results/one: it is damaged; give --overwrite")
        done.append(experiment.problem)
        return 0

    done: list[str] = []
    with mock.patch("gdcli.cli.run.perform", perform):
        assert shell("sweep", *files) == 1
    assert done == ["saddle"]
    assert shell.errors == ["error: results/one: it is damaged; give --overwrite"]


def test_a_dry_run_writes_nothing(shell: Shell, files: list[str]) -> None:
    assert shell("sweep", *files, "--dry-run") == 0
    assert sorted(path.name for path in shell.folder.iterdir()) == files


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_dry_run_without_the_data_says_so(shell: Shell, form: str) -> None:
    text = '[problem]\nname = "cnn"\ndataset = "mnist"\ndata-dir = "absent"\n'
    file = shell.write("images.toml", text + "[grid]\nlr = [0.1, 0.2]\n")
    assert shell("sweep", file, "--dry-run", "--format", form) == 0
    assert "0.2" in shell.out
    (line,) = shell.errors
    assert line.startswith("2 trials; the data are not there, so that time, memory and disk are")
    assert "--data-dir" in line
    (error,) = shell.refuses("sweep", file)
    assert error.startswith("images.toml: --data-dir: ")


def test_what_only_the_data_tell_names_the_file(shell: Shell, files: list[str]) -> None:
    text = '[problem]\nname = "mlp"\n[grid]\nmethod = "minibatch"\nbatch-size = 5000\n'
    large = shell.write("large.toml", text)
    (error,) = shell.refuses("sweep", *files, large)
    assert error.startswith("large.toml: --batch-size: 5000 is larger than the 1438 ")


def test_a_strange_table_hides_no_other_mistake(shell: Shell) -> None:
    text = '[problem]\nname = "quadratic"\n[grid]\nlr = "abc"\nlrr = 1\n[foo]\nx = 1\n'
    errors = shell.refuses("sweep", shell.write("bad.toml", text))
    assert [error.split(": ")[0] for error in errors] == ["bad.toml:6", "bad.toml:4", "bad.toml:5"]


def test_a_finished_run_needs_no_memory(shell: Shell, files: list[str]) -> None:
    assert shell("sweep", files[0]) == 0
    assert shell("sweep", files[0], "--memory", "1kB") == 0
    shell.refuses("sweep", files[0], "--memory", "1kB", "--overwrite")


@pytest.mark.parametrize("name", ["summary.csv", "curves.csv", "manifest.json"])
def test_show_refuses_what_the_run_did_not_write(shell: Shell, files: list[str], name: str) -> None:
    shell("sweep", files[0])
    file = shell.folder / "results" / "one" / name
    file.write_text(file.read_text()[:-20])
    (error,) = shell.refuses("show", "one")
    assert error.startswith(f"results/one/{name}: it is not ")
    assert shell("sweep", files[0]) == 0
    assert shell("show", "one") == 0
