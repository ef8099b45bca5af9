"""What is suggested for words that are called something else here, and for slips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gdcli import words
from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES
from gdcli.cli.options import Screen
from gdcli.cli.run import RunMode
from gdcli.experiment.grid import Axes
from gdcli.experiment.training import Training
from gdcli.fields import options_of, squashed, suggestion
from gdcli.runs.options import RunOptions

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

GRID = {**options_of(Axes), **options_of(Training)}


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("nope", ["income", "age", "tenure", "balance", "churn"]),
        ("target", ["age", "income", "balance"]),
        ("label", ["balance", "tenure", "income"]),
        ("y", ["x", "z", "age"]),
        ("price", ["tenure", "precinct"]),
        ("sgd", ["amsgrad", "adagrad"]),
        ("none", ["noise", "income"]),
        ("", ["a", "b"]),
    ],
)
def test_what_is_not_alike_is_not_suggested(given: str, known: list[str]) -> None:
    assert suggestion(given, known) == ""


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("incme", ["income", "age"], "income"),
        ("INCOME", ["income", "age"], "income"),
        ("in_come", ["income"], "income"),
        ("gird", ["grid", "vary"], "grid"),
        ("yy", ["y"], "y"),
        ("learning_rate_decya", ["learning-rate-decay"], "learning-rate-decay"),
        ("Adam", ["adamw", "adam"], "adam"),
    ],
)
def test_a_slip_is_understood(given: str, known: list[str], meant: str) -> None:
    assert suggestion(given, known) == f"did you mean '{meant}'?"


def test_every_name_in_the_tables_is_one() -> None:
    problems = {name for n in PROBLEMS.built_in() for name in options_of(PROBLEMS.find(n, ""))}
    others = {*options_of(RunOptions), *options_of(RunMode), *options_of(Screen)}
    assert set(words.OPTIONS) <= {*GRID, *problems, *others, "lr-from", "lr-to"}
    for catalogue in (PROBLEMS, OPTIMIZERS, SCHEDULES):
        for name in words.NAMES[catalogue.folder]:
            assert catalogue.find(name, "")
    for option, values in words.VALUES.items():
        both = [options_of(PROBLEMS.find(name, "")) for name in ("mlp", "softmax-regression")]
        known = {**GRID, **options_of(Screen), **both[0], **both[1]}[option].choices
        assert set(values) <= set(known)


def test_no_word_means_two_things() -> None:
    tables = [words.OPTIONS, words.COMMANDS, *words.NAMES.values(), *words.VALUES.values()]
    for table in tables:
        found = [squashed(word) for value in table.values() for word in value.split()]
        assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--optimizer", "sgd"), "did you mean 'vanilla', with --method sgd or minibatch?"),
        (("--optimizer", "SGD"), "did you mean 'vanilla', with --method sgd or minibatch?"),
        (("--optimizer", "ADAM"), "did you mean 'adam'?"),
        (("--optimizer", "Sign_SGD"), "did you mean 'sign-sgd'?"),
        (("--optimizer", "heavy-ball"), "did you mean 'momentum'?"),
        (("--optimizer", "NAG"), "did you mean 'nesterov'?"),
        (("--optimizer", "bfgs"), "did you mean 'lbfgs'?"),
        (("--optimizer", "torch:adam"), "did you mean 'torch:Adam'?"),
        (("--optimizer", "minibatch"), "did you mean 'vanilla', with --method minibatch?"),
        (("--method", "adam"), "adam is an optimizer: write --optimizer adam"),
        (("--method", "AdamW"), "adamw is an optimizer: write --optimizer adamw"),
        (("--method", "gd,batch"), "did you mean 'gd'?"),
        (("--method", "mini-batch"), "did you mean 'minibatch'?"),
        (("--method", "stochastic"), "did you mean 'sgd'?"),
        (("--method", "SGD"), "did you mean 'sgd'?"),
        (("--schedule", "CosineAnnealingLR"), "did you mean 'cosine'?"),
        (("--schedule", "OneCycle"), "did you mean 'one-cycle'?"),
        (("--dtype", "double"), "did you mean 'float64'?"),
        (("--learning-rate", "0.1"), "did you mean '--lr'?"),
        (("--learning_rate", "0.1"), "did you mean '--lr'?"),
        (("--learning-rate=0.1",), "did you mean '--lr'?"),
        (("--LR", "0.1"), "did you mean '--lr'?"),
        (("--weight_decay", "0.1"), "did you mean '--weight-decay'?"),
        (("--iterations", "10"), "did you mean '--steps'?"),
        (("--batch", "8"), "did you mean '--batch-size'?"),
        (("--batchsize", "8"), "did you mean '--batch-size'?"),
        (("--scheduler", "cosine"), "did you mean '--schedule'?"),
        (("--random-state", "1"), "did you mean '--seed'?"),
        (("--momentum", "0.9"), "--optimizer momentum --vary momentum.beta=0.9"),
        (("--betas", "0.9,0.99"), "--optimizer adam --vary adam.beta1=0.9"),
        (("--device", "gpu"), "did you mean 'cuda'?"),
        (("--device", "CUDA:1"), "did you mean 'cuda:1'?"),
        (("--epoch", "3"), "did you mean '--epochs'?"),
        (("--lrs", "3"), "did you mean '--lr'?"),
        (("--output-dir", "x"), "did you mean '--output'?"),
        (("--force",), "did you mean '--overwrite'?"),
        (("--schedule", "step-decay"), "did you mean 'step'?"),
        (("--loss", "mse"), "every problem has its own loss; see: gdcli problems"),
        (("--vary", "momentum=0.9", "--optimizer", "momentum"), "did you mean 'momentum.beta'?"),
        (("--vary", "learning-rate=1"), "lr is an axis already; write --lr with its values"),
    ],
)
def test_the_words_of_people_are_understood(
    shell: Shell, arguments: tuple[str, ...], said: str
) -> None:
    (line,) = shell.refuses("run", "quadratic", *arguments, "--dry-run")
    assert line.endswith(said)


@pytest.mark.parametrize("word", ["momentum", "loss", "betas", "learning-rate-x"])
def test_what_is_said_of_grids_is_not_said_of_other_commands(shell: Shell, word: str) -> None:
    (line,) = shell.refuses("step", "w**2", "--at", "w=1", f"--{word}", "1")
    assert line.endswith("see: gdcli step --help")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "quadratic"), "did you mean 'run'?"),
        (("lr-find", "mlp"), "did you mean 'lr-range'?"),
        (("trian", "mlp"), "did you mean 'run'?"),
        (("version",), "write gdcli --version"),
        (("run", "iris"), "gdcli run softmax-regression --dataset NAME, or another problem"),
        (("run", "softmax-regression", "--dataset", "cancer"), "did you mean 'breast-cancer'?"),
        (("run", "MLP"), "did you mean 'mlp'?"),
        (("run", "linear"), "did you mean 'linear-regression'?"),
        (("lr-range", "bowl"), "did you mean 'quadratic'?"),
        (("optimizers", "SGD"), "did you mean 'vanilla', with --method sgd or minibatch?"),
        (("step", "w**2", "--at", "w=1", "--learning-rate", "1"), "did you mean '--lr'?"),
    ],
)
def test_so_are_those_of_commands_and_problems(
    shell: Shell, arguments: tuple[str, ...], said: str
) -> None:
    (line,) = shell.refuses(*arguments)
    assert line.endswith(said)


def test_a_file_is_understood_as_a_command_line_is(shell: Shell) -> None:
    text = "[problem]\nname = 'quadratic'\n[grid]\nlearning-rate = 1\nscheduler = 'x'\nLR = 2\n"
    file = shell.write("words.toml", text)
    lines = shell.refuses("sweep", file)
    assert [line.rpartition("; ")[2] for line in lines] == [
        *("did you mean 'lr'?", "did you mean 'schedule'?", "did you mean 'lr'?")
    ]


def test_a_column_that_is_not_alike_is_not_suggested(shell: Shell) -> None:
    file = shell.write("some.csv", "age,income,churn\n1,2,a\n3,4,b\n5,6,a\n")
    command = ("run", "logistic-regression", "--data", file, "--dry-run", "--target")
    (line,) = shell.refuses(*command, "nope")
    assert line.endswith("has no column 'nope'; its columns are age, income, churn")
    (line,) = shell.refuses(*command, "Churn")
    assert line.endswith("did you mean 'churn'?")
