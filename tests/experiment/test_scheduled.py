"""Schedules of other settings than the learning rate: how they are written, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gdcli import Experiment
from gdcli.errors import UserErrors
from gdcli.experiment.toml import dump, load
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.experiment.experiment import Experiment as Read

BOTH: dict[str, Any] = {"optimizer": "vanilla,momentum", "weight_decay": "0.1"}


def given(text: str) -> Read:
    return experiment("quadratic", schedule_for=text, **BOTH)


def test_trials_without_one_keep_their_ids() -> None:
    plain = experiment("quadratic", **BOTH)
    assert given("").hash == plain.hash
    assert given("weight-decay=cosine").hash != plain.hash


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("weight_decay=cosine", "weight-decay=cosine"),
        ("weight-decay=cosine(final=0)", "weight-decay=cosine"),
        (" weight-decay = cosine( final = 0.5 ) ", "weight-decay=cosine(final=0.5)"),
        (
            "weight-decay=linear,momentum.beta=warmup-constant(warmup=1,start=0.9)",
            "momentum.beta=warmup-constant(warmup=1.0,start=0.9),weight-decay=linear",
        ),
        (
            "momentum.beta=wsd(shape=cosine,warmup-steps=3)",
            "momentum.beta=wsd(warmup-steps=3,shape=cosine)",
        ),
    ],
)
def test_it_has_one_spelling(text: str, spelt: str, tmp_path: Path) -> None:
    read = given(text)
    assert read.grid.training.schedule_for == spelt
    assert given(spelt).hash == read.hash
    file = tmp_path / "a.toml"
    file.write_text(dump(read))
    assert load(file) == read


def test_a_table_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        '[problem]\nname = "quadratic"\n[grid]\noptimizer = ["vanilla", "momentum"]\n'
        'weight-decay = 0.1\n[grid.schedule-for]\nweight-decay = "linear"\n'
        'momentum.beta = "cosine(final=0.5)"\n'
    )
    text = "weight-decay=linear,momentum.beta=cosine(final=0.5)"
    assert load(file) == given(text)
    table = {"weight-decay": "linear", "momentum.beta": "cosine(final=0.5)"}
    called = Experiment(
        "quadratic", optimizer=["vanilla", "momentum"], weight_decay=0.1, schedule_for=table
    )
    assert called.hash == given(text).hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosine", "'cosine' is not a setting and its schedule"),
        ("weight-decay=cosin", "did you mean 'cosine'?"),
        ("weight-decay=cosine(", "'cosine(' is not a schedule"),
        ("weight-decay=cosine(final=2)", "2"),
        ("weight-decay=cosine(fin=0.2)", "'fin=0.2' is not an option of cosine and its value"),
        ("weight-decay=cosine(final=0,final=1)", "final of cosine is given twice"),
        ("weight-decay=cosine,weight_decay=linear", "'weight-decay' has two schedules"),
        ("weight-decay=./mine.py", "is a file"),
        ("momentum.bet=cosine", "did you mean 'momentum.beta'?"),
        ("adam.beta1=cosine", "'adam.beta1' is not a numeric option of the grid's optimizers"),
        ("lr=cosine", "the learning rate has a schedule of its own; write --schedule cosine"),
    ],
)
def test_mistakes_are_one_line(text: str, message: str) -> None:
    with pytest.raises(UserErrors) as found:
        given(text)
    (error,) = found.value.errors
    assert message in str(error)
    assert "--schedule-for" in str(error)


def test_there_must_be_weight_decay_to_change() -> None:
    with pytest.raises(UserErrors, match="no weight decay for a schedule to change"):
        experiment("quadratic", schedule_for="weight-decay=cosine")


def test_weight_decay_that_an_optimizer_has_by_default_can_change() -> None:
    experiment("quadratic", optimizer="vanilla,adamw", schedule_for="weight-decay=cosine")
    with pytest.raises(UserErrors, match="no weight decay for a schedule to change"):
        experiment(
            "quadratic", optimizer="adamw", weight_decay="0", schedule_for="weight-decay=cosine"
        )


def test_the_settings_of_a_composed_optimizer_have_the_names_of_vary() -> None:
    grid: dict[str, Any] = {"optimizer": "muon+adamw,adamw+ema"}
    experiment("mlp", schedule_for="ema.decay=linear,muon.beta=cosine(final=0.5)", **grid)
    with pytest.raises(UserErrors, match=r"did you mean 'muon.beta'"):
        experiment("mlp", schedule_for="muon.bet=linear", **grid)
    with pytest.raises(UserErrors, match=r"batch-size, adamw.beta1, .*, muon.eps$"):
        experiment("mlp", schedule_for="nothing=linear", **grid)
