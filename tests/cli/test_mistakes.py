"""Every mistake is one line that says where, what and what to do; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

ONE = [
    (("run", "quadratic", "--lr", "abc"), "--lr: 'abc' is not a number of more than 0"),
    (("run", "quadratic", "--lr", "nan"), "--lr: 'nan' is not a number"),
    (("run", "quadratic", "--lr", "inf"), "--lr: 'inf' is not a number"),
    (("run", "quadratic", "--lr", "1e999"), "--lr: 1e999 is too large"),
    (("run", "quadratic", "--lr", "1e-999"), "--lr: 1e-999 rounds to zero"),
    (("run", "quadratic", "--lr", "0"), "--lr: 0.0 is not more than 0"),
    (("run", "quadratic", "--lr", "-1"), "--lr: -1.0 is not more than 0"),
    (("run", "quadratic", "--lr=-1"), "--lr: -1.0 is not more than 0"),
    (("run", "quadratic", "--lr", "0,1"), "--lr: 0.0 is not more than 0 (in '0,1'); write 0.1"),
    (("run", "quadratic", "--lr", "0,01"), " begins with 0; write 0.01"),
    (("run", "quadratic", "--lr", "0.1 0.2"), "write 0.1,0.2"),
    (("run", "quadratic", "--weight-decay", "0,0001"), " begins with 0; write 0.0001"),
    (("run", "quadratic", "--seed", "0-4"), "write 0:4"),
    (("run", "quadratic", "--seed", "1,000"), " begins with 0; write 1000"),
    (("run", "quadratic", "--vary", "dim=1,000"), "--vary dim: '1,000' is not a list of numbers: "),
    (("run", "quadratic", "--vary", "condition=1 000"), "write 1000"),
    (("run", "quadratic", "--steps", "1e3"), "9007199254740991; write 1000"),
    (("run", "quadratic", "--steps", "1_000"), "write 1000"),
    (("run", "quadratic", "--steps", "10^3"), "write 1000"),
    (("run", "quadratic", "--steps", "\uff11\uff10"), "write 10"),
    (("run", "quadratic", "--condition", "1,5"), "write 1.5, or to try several: --vary condition"),
    (("run", "quadratic", "--condition", "1", "000"), "write numbers and lists without blanks"),
    (("run", "quadratic", "--lr", "a" * 5000), "--lr: 'aaa"),
    (("run", "quadratic", "--lr", "\x1b[3" * 5000), "--lr: '\\x1b[3"),
    (("run", "quadratic", "--" + "a" * 5000), "--aaa"),
    (("run", "quadratic", "--fail-on", "y" * 5000), "--fail-on: 'yyy"),
    (("show", "b" * 5000), "file name too long; give a shorter path"),
    (("run", "./" + "b" * 5000 + ".py"), "file name too long; give the path of a Python file"),
    (("run", "quadratic", "--lr", ""), "--lr: there is an empty item"),
    (("run", "quadratic", "--lr", "0.1,,0.2"), "--lr: there is an empty item"),
    (("run", "quadratic", "--lr", "0.1,0.1"), "--lr: 0.1 is given twice"),
    (("run", "quadratic", "--lr", "0.1", "--lr", "0.2"), "--lr: it is given twice"),
    (("run", "quadratic", "--rotate", "--no-rotate"), "--rotate: it is given twice"),
    (("run", "quadratic", "-o", "a", "--output", "b"), "--output: it is given twice"),
    (("run", "quadratic", "--lr"), "--lr: it requires an argument; write --lr VALUE"),
    (("run", "quadratic", "--rotate=3"), "--rotate: it does not take a value"),
    (("run", "quadratic", "--lrr", "3"), "--lrr: there is no such option; did you mean '--lr'?"),
    (
        ("landscape", "mlp", "--measure", "sharpness"),
        "--measure: there is no such option; gdcli run has it, gdcli landscape mlp does not",
    ),
    (
        ("lr-range", "mlp", "--measure", "sharpness"),
        "--measure: there is no such option; gdcli run has it, gdcli lr-range mlp does not",
    ),
    (("run", "quadratic", "--hidden", "3"), "--hidden: there is no such option; see: gdcli run"),
    (("run", "quadratic", "-z"), "-z: there is no such option; see: gdcli run quadratic --help"),
    (("run", "quadratic", "0.2"), "gdcli run quadratic: got unexpected extra argument(s) (0.2)"),
    (("run", "quadratic", "--dim", "2.5"), "--dim: '2.5' is not an integer"),
    (("run", "quadratic", "--seed", "9" * 5000), "--seed: '999"),
    (("run", "quadratic", "--steps", "2", "--epochs", "2"), "--steps: both epochs"),
    (("run", "quadratic", "--optimizer", "adm"), "no optimizer 'adm'; did you mean 'adam'?"),
    (("run", "quadratic", "--schedule", "cosin"), "no schedule 'cosin'; did you mean 'cosine'?"),
    (("run", "quadratic", "--method", "sdg"), "--method: 'sdg' is not one of gd, sgd, minibatch"),
    (("run", "quadratic", "--vary", "x"), "--vary: 'x' is not a name and its values"),
    (("run", "quadratic", "--vary", "=1"), "--vary: '=1' is not a name and its values"),
    (("run", "quadratic", "--vary", "dm=1"), "--vary dm: there is no setting 'dm' to vary"),
    (("run", "quadratic", "--vary", "dim=1", "--vary", "dim=2"), "--vary: 'dim' is given twice"),
    (
        ("run", "expression", "--vary", "formula=max(x,y,x*y"),
        "--vary formula: the '(' in 'max(x,y,x*y' is never closed; give its pair, or put the value",
    ),
    (
        ("run", "quadratic", "--optimizer", 'adam,"./a,b.py'),
        """--optimizer: '"./a,b.py' begins with a quote, but no value ends with it; close it at""",
    ),
    (("run", "quadratic", "--zip", "lr,sed"), "--zip: 'sed' is not an axis; did you mean 'seed'?"),
    (("run", "quadratic", "--name", "../up"), "--name: '../up' cannot name a run"),
    (("run", "quadratic", "--name", ""), "--name: '' cannot name a run"),
    (("run", "quadratic", "--save", "no/x.toml"), "--save: 'no/x.toml' is in no folder"),
    (("run", "quadratic", "--save", "."), "--save: '.' is a folder"),
    (("run", "quadratic", "--save", "x.toml", "-n"), "--save: it writes, and --dry-run"),
    (("run", "quadratic", "--instance", "deepobs", "--dim", "3"), "--dim: 3 has no effect"),
    (("run", "quadratic", "--format", "xml"), "--format: 'xml' is not one of table"),
    (("run", "quadratic", "--seed", "0:99999", "--lr", "lin:1:2:11"), "the grid: it has 1100000"),
    (("run", "quadratci"), "gdcli run: there is no problem 'quadratci'; did you mean 'quadratic'?"),
    (("run", "[bold]x"), "gdcli run: there is no problem '[bold]x'; see: gdcli problems"),
    (("run", "\x1b[31mx"), r"gdcli run: there is no problem '\x1b[31mx'; see: gdcli problems"),
    (("run", "quadratic", "--optimizer", "[red]"), "--optimizer: there is no optimizer '[red]'"),
    (("run", "quadratic", "--\x1b[2J"), r"--\x1b[2J: there is no such option"),
    (("run", "quadratic", "\x1b[2J\n\u202e"), r"extra argument(s)"),
    (("run",), "gdcli run: PROBLEM is missing; see: gdcli run --help"),
    (("rum",), "gdcli: there is no command 'rum'; did you mean 'run'?"),
    (("xyzzy",), "gdcli: there is no command 'xyzzy'; see: gdcli --help"),
    (("--bogus",), "--bogus: there is no such option; see: gdcli --help"),
    (("problems", "quadratc"), "there is no problem 'quadratc'; did you mean 'quadratic'?"),
    (("optimizers", "adam", "lion"), "gdcli optimizers: got unexpected extra argument(s) (lion)"),
    (("schedules", "--format", "yaml"), "--format: 'yaml' is not one of table, csv, json, md"),
    (("show",), "gdcli show: RUN is missing"),
    (("show", "nothing"), "'nothing': there is no such run"),
    (("show", "."), "'.': the folder holds no run; "),
    (("sweep",), "gdcli sweep: FILE is missing"),
    (("sweep", "missing.toml"), "missing.toml: no such file or directory"),
    (("sweep", "\x1b[1m.toml"), r"'\x1b[1m' cannot name a run"),
]


@pytest.mark.parametrize(("arguments", "said"), ONE, ids=range(len(ONE)))
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    line, *more = shell.refuses(*arguments)
    assert said in line
    assert len(f"error: {line}") <= 200
    # Two parts of one command line can both be wrong: the file is missing, and its name is bad.
    assert not more or arguments == ("sweep", "\x1b[1m.toml")


def test_every_mistake_of_a_command_line_is_reported(shell: Shell) -> None:
    arguments = ["--dim", "0", "--lr", "x", "--fail-on", "y", "--format", "z", "--name", "-"]
    lines = shell.refuses("run", "quadratic", *arguments)
    assert [line.partition(":")[0] for line in lines] == [
        *("--format", "--fail-on", "--name", "--dim", "--lr"),
    ]


def test_every_mistake_of_every_file_is_reported_before_anything_runs(shell: Shell) -> None:
    good = shell.write("good.toml", '[problem]\nname = "saddle"\n')
    bad = shell.write("bad.toml", '[problem]\nname = "saddle"\n[grid]\nlr = 0\nsed = 1\n')
    worse = shell.write("worse.toml", "[problem]\nname = saddle\n")
    assert shell.refuses("sweep", good, bad, worse, "missing.toml") == [
        "bad.toml:4: lr: 0.0 is not more than 0; give a number of more than 0",
        "bad.toml:5: sed: 'sed' is not an option here; did you mean 'seed'?",
        "worse.toml:2: invalid value; see https://toml.io",
        "missing.toml: no such file or directory; give the path of an experiment file",
    ]


def test_a_mistake_that_all_files_share_is_reported_once(shell: Shell) -> None:
    files = [shell.write(f"{n}.toml", '[problem]\nname = "saddle"\n') for n in ("a", "b")]
    (line,) = shell.refuses("sweep", *files, "--set", "lr=x")
    assert line.startswith("--set lr: 'x' is not a number")


def test_two_files_cannot_be_one_run(shell: Shell) -> None:
    file = shell.write("a.toml", '[problem]\nname = "saddle"\n')
    (line,) = shell.refuses("sweep", file, f"./{file}")
    assert line.startswith("./a.toml: a.toml and ./a.toml would both be the run 'a'; ")
    other = shell.write("b.toml", '[problem]\nname = "saddle"\n')
    (line,) = shell.refuses("sweep", file, other, "--name", "c")
    assert line.startswith("--name: 'c' would name 2 runs; ")
