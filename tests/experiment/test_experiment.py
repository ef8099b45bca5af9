"""Experiments: read alike from a command line and a file, and every mistake reported."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn

from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, read
from tests.experiments import experiments, given


def mistakes(**parts: Any) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        read(given(**parts))
    return caught.value.lines


def test_text_and_typed_values_mean_the_same() -> None:
    text = read(
        given(
            options={"dim": "3", "rotate": "true"},
            grid={"lr": "0.1,0.2", "seed": "0:2", "epochs": "7", "batch_size": "8"},
            vary={"condition": "10,20"},
        )
    )
    typed = read(
        given(
            options={"dim": 3, "rotate": True},
            grid={"lr": [0.1, 0.2], "seed": [0, 1, 2], "epochs": 7, "batch-size": 8},
            vary={"condition": [10, 20]},
        )
    )
    assert text.hash == typed.hash
    assert text.tables() == typed.tables()


def test_the_hash_depends_on_what_is_varied() -> None:
    fixed, varied = read(given()), read(given(vary={"condition": "10"}))
    assert [t.id for t in fixed.grid.trials] == [t.id for t in varied.grid.trials]
    assert fixed.hash != varied.hash  # the results have one column more
    assert varied.varied == ("condition",)
    assert read(given(grid={"clip-norm": "1"})).varied == ("clip_norm",)


def test_the_command_says_what_differs_from_the_defaults() -> None:
    experiment = read(
        given(
            options={"dim": "3", "rotate": False},
            grid={"lr": "log:0.01:1:3", "optimizer": "momentum", "epochs": "5", "order": "shuffle"},
            vary={"momentum.beta": "0.5,0.7,0.9"},
            zip=("lr,momentum.beta",),
        )
    )
    assert experiment.command() == [
        *("run", "quadratic", "--dim=3", "--no-rotate"),
        *("--optimizer=momentum", "--lr=0.01,0.1,1.0", "--epochs=5"),
        *("--vary=momentum.beta=0.5,0.7,0.9", "--zip=lr,momentum.beta"),
    ]


@drawn(experiments())
def test_the_tables_say_the_same_experiment(experiment: Experiment) -> None:
    tables = experiment.tables()
    name, vary = tables["problem"].pop("name"), tables["vary"]
    zips = tuple(tables["grid"].pop("zip", ()))
    again = read(given(name, options=tables["problem"], grid=tables["grid"], vary=vary, zip=zips))
    assert again.hash == experiment.hash


def test_a_measure_that_the_problem_has_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdcli.problems.quadratic.Quadratic.metric_names", ("sharpness",))
    line = "--measure: the problem has a column sharpness of its own; leave sharpness out, or"
    (found,) = mistakes(grid={"measure": "sharpness"})
    assert found.startswith(line)


def test_every_mistake_is_reported_with_its_place() -> None:
    assert mistakes(
        options={"dimm": "3", "condition": "x"},
        grid={"lr": "0,1", "epoch": "3", "optimizer": "adm,momentm", "schedule": "cosin"},
        vary={"nothing": "1", "lr": "1,2"},
        zip=("lr,sed",),
    ) == (
        "--problem dimm: 'dimm' is not an option here; did you mean 'dim'?",
        "--problem condition: 'x' is not a number of at least 1; give a number of at least 1",
        "--lr: 0.0 is not more than 0 (in '0,1'); write 0.1",
        "--epoch: 'epoch' is not an option here; did you mean 'epochs'?",
        "--optimizer: there is no optimizer 'adm'; did you mean 'adam'?",
        "--optimizer: there is no optimizer 'momentm'; did you mean 'momentum'?",
        "--schedule: there is no schedule 'cosin'; did you mean 'cosine'?",
        (
            "--vary nothing: there is no setting 'nothing' to vary; "
            "vary an option of the problem or of an optimizer"
        ),
        "--vary lr: lr is an axis already; write --lr with its values",
        "--zip: 'sed' is not an axis; did you mean 'seed'?",
    )


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"problem": "quadratci"}, "no problem 'quadratci'; did you mean 'quadratic'?"),
        ({"options": {"lr": 1}}, "'lr' is not an option here; write it under [grid]"),
        ({"grid": {"batch-size": 1, "batch_size": 2}}, "'batch_size' is given twice"),
        ({"grid": {"steps": "2", "epochs": "3"}}, "both epochs (3) and steps (2)"),
        ({"grid": {"steps": "9007199254740992"}}, "more than 9007199254740991"),
        ({"grid": {"record": "0"}}, "'0' is not an interval"),
        ({"options": {"condition": "2"}, "vary": {"condition": "3,4"}}, "given twice"),
        ({"vary": {"condition": "3", "condition ": "4"}}, "no setting 'condition ' to vary"),
        ({"vary": {"momentum.beta": "0.5"}}, "add momentum to --optimizer"),
        ({"grid": {"optimizer": "momentum"}, "vary": {"momentum.bet": "1"}}, "'momentum.beta'"),
        ({"options": {"instance": "deepobs", "dim": "3"}}, "--problem dim: 3 has no effect"),
    ],
    ids=str,
)
def test_a_mistake_is_explained(parts: dict[str, Any], said: str) -> None:
    (line,) = mistakes(**parts)
    assert said in line
