"""Help: every command explains itself, off a terminal in plain text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from gdcli import __version__
from gdcli.catalog.catalog import PROBLEMS
from gdcli.cli.app import COMMANDS, GROUPS
from gdcli.cli.options import Screen
from gdcli.cli.problem_commands import FAMILIES
from gdcli.cli.run import RunMode
from gdcli.experiment.grid import Axes
from gdcli.experiment.training import Training
from gdcli.fields import options_of
from gdcli.runs.options import RunOptions
from tests.cli.command_line import Shell, gdcli

if TYPE_CHECKING:
    from pathlib import Path

RESERVED = [
    *(
        option
        for cls in (Axes, Training, RunOptions, RunMode, Screen)
        for option in options_of(cls)
    ),
    *("vary", "zip", "set", "help", "version"),
]
ON_PROBLEMS = ["run", "lr-range", "landscape", "explore", "gradcheck"]
OTHERS = [name for name in COMMANDS if name not in ON_PROBLEMS]


CONTRACTS = {name for names in FAMILIES.values() for name in names}


def sections(text: str) -> dict[str, str]:
    """Return the parts of a help text by their headings."""
    parts = text.split("\n\n")
    return {part.partition(":")[0]: part for part in parts if part.partition("\n")[0].endswith(":")}


def test_gdcli_alone_prints_the_help(shell: Shell) -> None:
    assert shell() == 0
    alone = shell.out
    assert shell("--help") == 0
    assert shell.out == alone
    assert [*sections(alone)] == ["Words", *GROUPS, "Options", "  Examples"]
    assert "-h, --help" in sections(alone)["Options"]


@pytest.mark.parametrize("group", GROUPS)
def test_the_help_groups_the_commands(shell: Shell, group: str) -> None:
    assert shell("--help") == 0
    listed = re.findall(r"^  ([a-z-]+) ", sections(shell.out)[group], re.MULTILINE)
    assert listed == [*GROUPS[group]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_by_the_first_line_of_its_help(shell: Shell, name: str) -> None:
    assert shell(name, "--help") == 0
    assert " ".join(shell.out.split("\n\n")[1].split()) == COMMANDS[name][1]


def test_the_version_is_printed(shell: Shell) -> None:
    assert shell("--version") == 0
    assert shell.out == f"gdcli {__version__}\n"


def test_run_lists_every_problem_with_its_summary(shell: Shell) -> None:
    assert shell("run", "--help") == 0
    listed = "".join(shell.out.split())
    for name in PROBLEMS.names():
        assert "".join(PROBLEMS.summary(name).split()) in listed


@pytest.mark.parametrize("command", ON_PROBLEMS)
def test_every_problem_stands_once_under_its_family(shell: Shell, command: str) -> None:
    assert shell(command, "--help") == 0
    _, _, below = shell.out.partition("\nProblems:\n")
    listed = {
        heading.strip(): re.findall(r"^    ([a-z0-9-]+)  ", part, re.MULTILINE)
        for heading, part in re.findall(r"^  (\S.*):\n((?:    .*\n)+)", below, re.MULTILINE)
    }
    names = sorted(name for names in listed.values() for name in names)
    if command == "explore":  # functions have no examples
        assert set(names) < set(PROBLEMS.names())
    else:
        assert names == PROBLEMS.names()
        assert [*listed] == [*FAMILIES]
    for family, names in listed.items():
        for name in names:
            contracts = [
                cls for cls in PROBLEMS.find(name, "").__mro__ if cls.__name__ in CONTRACTS
            ]
            assert contracts[0].__name__ in FAMILIES[family]


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_a_problem_has_help_in_three_groups(shell: Shell, name: str) -> None:
    assert shell("run", name, "--help") == 0
    parts = sections(shell.out)
    assert list(parts)[-3:] == ["Problem", "Grid", "Run"]
    for option in options_of(PROBLEMS.find(name, "")).values():
        assert f"--{option.name} " in parts["Problem"].replace("\n", " ")
        assert option.summary.split()[0] in parts["Problem"]
    assert all(f"--{option} " in parts["Grid"] for option in options_of(Axes))
    assert all(word in parts["Grid"] for word in ("--vary", "--zip", "--steps"))
    assert all(word in parts["Run"] for word in ("--save", "-n, --dry-run", "-o, --output"))
    assert "\x1b" not in shell.out


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_a_problem_s_options_are_its_own(name: str) -> None:
    own = list(options_of(PROBLEMS.find(name, "")))
    assert not set(own) & set(RESERVED)
    assert len(set(RESERVED)) == len(RESERVED)


def test_the_help_says_range_and_default(shell: Shell) -> None:
    assert shell("run", "quadratic", "--help") == 0
    text = " ".join(shell.out.split())
    assert "--dim INTEGER number of parameters (at least 1; default: 2)" in text
    assert "--rotate / --no-rotate" in text
    assert "--method gd|sgd|minibatch,..." in text
    assert f"default: {PROBLEMS.find('quadratic', '').default_epochs})" in text


@pytest.mark.parametrize("command", OTHERS)
def test_a_command_has_help(shell: Shell, command: str) -> None:
    assert shell(command, "-h") == 0
    assert shell.out.startswith(f"Usage: gdcli {command} ")
    assert "--no-color" in shell.out
    assert not shell.err


OFFERED = {
    "gdcli opt": ["optimizers"],
    "gdcli run quad": ["quadratic"],
    "gdcli run quadratic --dim": ["--dim"],
    "gdcli run quadratic --optimizer mome": ["momentum"],
    "gdcli run quadratic --optimizer adamw,mome": ["adamw,momentum"],
    "gdcli run quadratic --optimizer adam,adamw+cau": ["adam,adamw+cautious"],
    "gdcli run quadratic --schedule cosine-r": ["cosine-restarts"],
    "gdcli run quadratic --method gd,s": ["gd,sgd"],
    "gdcli run quadratic --fail-on failed,still": ["failed,still-falling"],
    "gdcli run mlp --activation t": ["tanh"],
    "gdcli optimizers sign-": ["sign-sgd"],
    "gdcli optimizers adamw+em": ["adamw+ema"],
    "gdcli show m": ["mine"],
    "gdcli new p": ["problem"],
}
# What a shell does at each tab, here in one process for all of the lines.
TABS = """
import json, os
for words in json.loads(os.environ["LINES_TYPED"]):
    os.environ |= {"_TYPER_COMPLETE_ARGS": words, "COMP_WORDS": words}
    os.environ["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    try:
        main()
    except SystemExit as end:
        assert not end.code
    print("-", flush=True)
"""


def offered(shell: str, folder: Path) -> list[list[str]]:
    """Return what a shell is given to complete the last word of each line by."""
    typed = {"LINES_TYPED": json.dumps([*OFFERED]), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = gdcli(
        folder=folder, code=f"exec({TABS!r})", _GDCLI_COMPLETE=f"complete_{shell}", **typed
    )
    assert (done.returncode, done.stderr) == (0, "")
    parts = done.stdout.split("\n-\n")[:-1]
    if shell == "zsh":
        return [
            re.findall(r'^(?:_arguments .*\(\()?"([^"]+)"', part, re.MULTILINE) for part in parts
        ]
    return [[line.partition("\t")[0] for line in part.splitlines() if line] for part in parts]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_and_values_are_completed(tmp_path: Path, shell: str) -> None:
    (tmp_path / "results/mine/.gdcli").mkdir(parents=True)
    (tmp_path / "results/mine/.gdcli/spec.json").touch()
    assert offered(shell, tmp_path) == [*OFFERED.values()]


def test_a_run_is_named_after_its_problem_or_its_file(shell: Shell) -> None:
    assert shell("run", "quadratic", "--help") == 0
    assert "(default: the problem and a hash)" in " ".join(shell.out.split())
    assert shell("sweep", "--help") == 0
    assert "(default: the file's name)" in " ".join(shell.out.split())


def test_the_usage_names_the_arguments_plainly(shell: Shell) -> None:
    assert shell("compare", "--help") == 0
    assert shell.out.startswith("Usage: gdcli compare [OPTIONS] RUN...\n")
    assert shell("runs", "--help") == 0
    assert shell.out.startswith("Usage: gdcli runs [OPTIONS] [FOLDER]\n")
