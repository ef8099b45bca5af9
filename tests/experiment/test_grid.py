"""Grids: which trials there are, under which names."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.catalog.catalog import name_of
from gdcli.errors import UserError, UserErrors
from gdcli.experiment.experiment import read
from gdcli.experiment.grid import Trial, digest, setting
from tests.experiments import given

if TYPE_CHECKING:
    from pathlib import Path


def trials(problem: str = "quadratic", **parts: Any) -> tuple[Trial, ...]:
    return read(given(problem, **parts)).grid.trials


def test_the_trials_are_the_product_of_the_axes() -> None:
    found = trials(grid={"lr": "0.1,0.2", "seed": "0:2", "optimizer": "vanilla,adam"})
    settings = [(type(t.optimizer).__name__, t.lr, t.seed) for t in found]
    assert settings == [
        (optimizer, lr, seed)
        for optimizer in ("Vanilla", "Adam")
        for lr in (0.1, 0.2)
        for seed in (0, 1, 2)
    ]


def test_gd_is_one_trial_however_many_batch_sizes() -> None:
    found = trials(grid={"method": "gd,sgd,minibatch", "batch-size": "8,16,32"})
    sizes = [(t.method, t.batch_size) for t in found]
    assert sizes == [
        *(("gd", None), ("sgd", None)),
        *(("minibatch", 8), ("minibatch", 16), ("minibatch", 32)),
    ]


def test_a_field_multiplies_its_own_optimizer_only() -> None:
    found = trials(
        grid={"optimizer": "vanilla,momentum"},
        vary={"momentum.beta": "0.5,0.9", "condition": "2,3"},
    )
    settings = [
        (setting(t, "condition"), type(t.optimizer).__name__, setting(t, "momentum.beta"))
        for t in found
    ]
    assert sorted(settings, key=str) == [
        (2.0, "Momentum", 0.5),
        (2.0, "Momentum", 0.9),
        (2.0, "Vanilla", None),
        (3.0, "Momentum", 0.5),
        (3.0, "Momentum", 0.9),
        (3.0, "Vanilla", None),
    ]


def test_a_field_of_a_schedule_can_be_varied() -> None:
    found = trials(grid={"schedule": "cosine,constant"}, vary={"cosine.final": "0,0.1"})
    assert [setting(t, "cosine.final") for t in found] == [0.0, 0.1, None]


def test_zipped_axes_go_in_step() -> None:
    found = trials(
        grid={"lr": "0.1,0.2,0.3", "seed": "0:1", "optimizer": "momentum"},
        vary={"momentum.beta": "0.7,0.8,0.9"},
        zip=("lr,momentum.beta",),
    )
    pairs = {(t.lr, setting(t, "momentum.beta")) for t in found}
    assert pairs == {(0.1, 0.7), (0.2, 0.8), (0.3, 0.9)}
    assert len(found) == 6


def test_the_id_of_a_trial_is_the_same_in_every_grid() -> None:
    alone = {t.id for t in trials(grid={"lr": "0.2", "seed": "3", "weight-decay": "0.5"})}
    among = {
        t.id
        for t in trials(
            grid={
                "lr": "0.3,0.2",
                "seed": "4:2:-1",
                "weight-decay": "0,0.5",
                "batch-size": "8",
                "optimizer": "adam,vanilla",
                "schedule": "cosine,constant",
            },
            vary={"condition": "10,20", "adam.beta1": "0.5,0.9"},
        )
    }
    assert len(alone) == 1
    assert alone <= among


def test_a_default_that_is_spelt_out_is_the_same_trial() -> None:
    silent = trials()
    spoken = trials(options={"dim": "2"}, grid={"lr": "0.1", "seed": "0"}, vary={"condition": "10"})
    assert [t.id for t in silent] == [t.id for t in spoken]


LATER = (
    *("stream", "separator", "header", "decimal", "thousands", "encoding", "comment", "skip_rows"),
    *("categorical", "drop", "missing", "test_data"),
    *("stratify", "class_weights", "balanced_accuracy", "task"),
)


@pytest.mark.parametrize(
    "other",
    [
        {"options": {"dim": "3"}},
        {"grid": {"lr": "0.2"}},
        {"grid": {"seed": "1"}},
        {"grid": {"steps": "10"}},
        {"grid": {"weight-decay": "0.1"}},
        {"grid": {"schedule": "cosine"}},
        {"grid": {"dtype": "float32"}},
        {"grid": {"measure": "sharpness"}},
    ],
    ids=str,
)
def test_every_setting_changes_the_id(other: dict[str, Any]) -> None:
    assert trials()[0].id != trials(**other)[0].id


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"problem": "saddle", "options": {"start": "0.5,-0.0"}},
        {
            "problem": "logistic-regression",
            "grid": {"method": "gd,minibatch", "optimizer": "adam,momentum", "record": "7"},
            "vary": {"momentum.beta": "0.5,0.9", "l2": "0.0,0.1"},
        },
    ],
    ids=str,
)
def test_an_id_is_the_hash_of_the_settings_spelt_out(parts: dict[str, Any]) -> None:
    for trial in trials(**{"grid": {"lr": "1e-7,3", "schedule": "constant,cosine"}, **parts}):
        rules = {n: getattr(trial, n) for n in ("problem", "optimizer", "schedule")}
        fields = {n: asdict(rule) for n, rule in rules.items()}
        for name in LATER:  # named only where they are given
            plain = type(trial.problem).__dataclass_fields__.get(name)
            assert plain is None or fields["problem"].pop(name) == plain.default
        named = {n: [name_of(rule), fields[n]] for n, rule in rules.items()}
        own = {n: getattr(trial, n) for n in ("method", "batch_size", "lr", "seed")}
        training = asdict(trial.training)
        for later in ("measure", "for_", "schedule_for"):
            assert training.pop(later) is None  # named only where it is given
        assert trial.id == digest([1, own, named, training])[:12]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"zip": ("lr,seed",), "grid": {"lr": "1,2"}}, "lr has 2, seed has 1"),
        ({"zip": ("lr",)}, "two or more"),
        ({"zip": ("lr,lr",)}, "two or more"),
        ({"zip": ("lr,nothing",)}, "'nothing' is not an axis"),
        ({"zip": ("lr,seed", "seed,batch-size")}, "seed is zipped twice"),
        ({"zip": ("clip-norm,weight-decay",)}, "clip_norm has no values"),
        ({"zip": ("lr,condition",)}, "'condition' is not an axis"),
        ({"grid": {"seed": "0:99999", "lr": "lin:1:2:11"}}, "1100000 trials"),
    ],
    ids=str,
)
def test_axes_that_do_not_go_together_are_refused(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(given(**parts))
    assert said in str(caught.value)


def test_every_zip_is_reported() -> None:
    with pytest.raises(UserErrors) as caught:
        read(given(zip=("lr,a", "seed,b")))
    assert len(caught.value.lines) == 2


def test_without_lr_every_optimizer_has_its_own_or_the_problems() -> None:
    mixed = trials(
        grid={"optimizer": "vanilla,momentum,adam,lion,adadelta,torch:Rprop,torch:LBFGS"}
    )
    own = {name_of(trial.optimizer): trial.lr for trial in mixed}
    assert own == {
        "vanilla": 0.1,
        "momentum": 0.1,
        "adam": 1e-3,
        "lion": 1e-4,
        "adadelta": 1.0,
        "torch:Rprop": 1e-2,
        "torch:LBFGS": 1.0,
    }
    given = trials(grid={"optimizer": "vanilla,adam", "lr": "0.3"})
    assert [trial.lr for trial in given] == [0.3, 0.3]


def test_an_own_learning_rate_that_is_spelt_out_is_the_same_trial() -> None:
    silent = trials(grid={"optimizer": "adam", "seed": "0:2"})
    spoken = trials(grid={"optimizer": "adam", "seed": "0:2", "lr": "0.001"})
    assert [trial.id for trial in silent] == [trial.id for trial in spoken]


def test_rates_of_optimizers_may_be_zipped_with_them() -> None:
    zipped = trials(grid={"optimizer": "adam,vanilla", "lr": "0.5,0.2"}, zip=("optimizer,lr",))
    assert {name_of(t.optimizer): t.lr for t in zipped} == {"adam": 0.5, "vanilla": 0.2}
    with pytest.raises(UserError, match="lr has no values; give it some"):
        trials(grid={"optimizer": "adam,vanilla"}, zip=("optimizer,lr",))


@pytest.mark.parametrize("rate", ["0", "-1", "float('inf')", "float('nan')", "'0.1'", "True"])
def test_a_default_rate_of_ones_own_that_is_none_is_refused(tmp_path: Path, rate: str) -> None:
    file = tmp_path / "odd_rate.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from gdcli.optimizer import Optimizer\n"
        "@dataclass(frozen=True)\n"
        "class OddRate(Optimizer):\n"
        "    def update(self, grad, state, param, step):\n"
        "        return grad, state\n"
        f"OddRate.default_lr = {rate}\n"
    )
    with pytest.raises(UserErrors, match=r"the default_lr of OddRate is .*; make it a number"):
        trials(grid={"optimizer": str(file)})
