"""--for: settings of some parameters, by kind or name, against torch's parameter groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from gdcli import Experiment
from gdcli.catalog.catalog import OPTIMIZERS, grouped_rule, name_of
from gdcli.engine.refusals import check_rule
from gdcli.errors import UserError
from gdcli.experiment.experiment import read
from gdcli.experiment.toml import dump, loads
from gdcli.parameter_groups import groups_of, value_of
from gdcli.problems.mlp import Mlp
from tests.experiments import given
from tests.optimizers.oracle import ask_of, furthest, ours, start, theirs
from tests.optimizers.stacked import stacked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLOSE = 1e-10
RATE = 0.02
FOR = "bias weight-decay=0; w2 lr=0.1x; b* lr=0.5x; w2 weight-decay=2x"


def made(optimizer: str, groups: str, **values: Any) -> Any:
    cls = grouped_rule(optimizer, OPTIMIZERS.find(optimizer, ""), groups, "--for")
    return cls(groups=groups, **values)


def in_groups(optimizer: Any, decay: float, **options: Any) -> Any:
    """Return what makes an optimizer of torch with the same settings as FOR."""

    def make(held: list[Tensor]) -> Any:
        own = dict(zip(start(), held, strict=True))
        groups = [
            {"params": [own["w1"]], "lr": RATE, "weight_decay": decay},
            {"params": [own["w2"]], "lr": 0.1 * RATE, "weight_decay": 2 * decay},
            {"params": [own["b1"], own["b2"]], "lr": 0.5 * RATE, "weight_decay": 0.0},
        ]
        return optimizer(groups, **options)

    return make


@pytest.mark.parametrize("decay", [0.1, 0.0])
def test_groups_are_those_of_torch(decay: float) -> None:
    decoupled = made("adamw", FOR, weight_decay=decay)
    reference = theirs(in_groups(torch.optim.AdamW, decay))
    assert furthest(ours(decoupled, RATE), reference) < CLOSE
    coupled = made("momentum", FOR, weight_decay=decay, momentum__beta=0.8)
    reference = theirs(in_groups(torch.optim.SGD, decay, momentum=0.8))
    assert furthest(ours(coupled, RATE), reference) < CLOSE


def test_a_wrapper_is_around_the_groups() -> None:
    groups = made("adamw+average", FOR, weight_decay=0.1)
    params, average = start(), start()
    state = groups.init(params, ask_of(0))
    for step in range(10):
        lr = torch.tensor(RATE, dtype=torch.float64)
        params, state = groups.step(params, state, ask_of(step), lr, step + 1)
        average = {n: (step * average[n] + params[n]) / (step + 1) for n in params}
    assert furthest(params, theirs(in_groups(torch.optim.AdamW, 0.1), 10)) < CLOSE
    assert furthest(groups.at(params, state), average) < CLOSE


def test_a_trial_mapped_beside_others_is_the_trial_alone() -> None:
    rules = [
        made("adamw+cautious", FOR, weight_decay=0.1),
        made("adamw+cautious", FOR, weight_decay=0.3, adamw__beta2=0.9),
    ]
    for rule, lr, mapped in zip(
        rules, (RATE, 0.01), stacked(rules, (RATE, 0.01), steps=20), strict=True
    ):
        assert furthest(mapped, ours(rule, lr, 20)) < CLOSE


@pytest.mark.parametrize("optimizer", ["momo", "momo-adam+ema"])
def test_a_rule_with_one_decay_for_all_is_one_line(optimizer: str) -> None:
    read(given(grid={"optimizer": optimizer, "for": "bias lr=0.1x"}))
    with pytest.raises(UserError) as caught:
        read(given(grid={"optimizer": optimizer, "for": "bias lr=0.1x; b* weight-decay=0"}))
    (line,) = caught.value.lines
    name = optimizer.partition("+")[0]
    assert line.startswith(f"--for: the step size of {name} depends on its weight decay, one for")


def test_the_penalty_of_a_polyak_step_is_that_of_the_groups() -> None:
    groups, decay = made("polyak", "bias weight-decay=0", weight_decay=0.3), 0.3
    params = start()
    lr = torch.tensor(1e3, dtype=torch.float64)
    found, _ = groups.step(params, groups.init(params, ask_of(0)), ask_of(0), lr, 1)
    loss, grad = ask_of(0)(params)
    loss = loss + decay / 2 * sum(params[n].square().sum() for n in ("w1", "w2"))
    grad = {n: g + decay * params[n] * (n in ("w1", "w2")) for n, g in grad.items()}
    size = loss / sum(g.square().sum() for g in grad.values())
    assert furthest(found, {n: p - size * grad[n] for n, p in params.items()}) < CLOSE


def test_an_experiment_says_it_and_other_trials_keep_their_ids(tmp_path: Path) -> None:
    axes: dict[str, Any] = {"optimizer": "adamw,momentum", "lr": "0.1,0.2"}
    plain = read(given(grid=axes))
    experiment = read(given(grid={**axes, "for": "bias weight-decay=0"}))
    assert loads(dump(experiment), tmp_path / "e.toml").hash == experiment.hash
    assert 'for = "bias weight-decay=0"' in dump(experiment)
    assert "--for=bias weight-decay=0" in experiment.command()
    again = Experiment("quadratic", **axes, for_="bias weight-decay=0")
    assert again.hash == experiment.hash
    assert eval(repr(again), {"Experiment": Experiment}).hash == again.hash  # noqa: S307 -- our own text
    ids = [{trial.id for trial in e.grid.trials} for e in (plain, experiment)]
    assert not ids[0] & ids[1]
    assert {name_of(t.optimizer) for t in experiment.grid.trials} == {"adamw+for", "momentum+for"}
    varied = read(
        given(grid={**axes, "for": "bias lr=2x"}, vary={"adamw.beta2": "0.9,0.99"})
    ).grid.trials
    assert len(varied) == 6


WRONG = {
    "bias": "'bias' does not say what of which parameters; write it as in \"bias,norm weight-decay",
    "bias,, lr=0.1x": "'bias,, lr=0.1x' does not say what of which parameters; ",
    "": "'' does not say what of which parameters; ",
    "bias weight-decya=0": "parameters have no setting 'weight-decya' of their own; did you mean "
    "'weight-decay'?",
    "bias beta=0": "parameters have no setting 'beta' of their own; give one of lr, weight-decay, "
    "optimizer",
    "bias lr=0.1": "the lr of some parameters is a factor of the trial's, and '0.1' is none; "
    "write lr=0.1x",
    "bias lr=fast": "'fast' is not a number of at least 0; write lr=0.1x",
    "bias lr=2x lr=3x": "'bias lr=2x lr=3x' sets lr twice; give it once",
    "bias lr=2x norm": "'bias lr=2x norm' does not say what of which parameters; ",
    "lr=2x": "'lr=2x' does not say what of which parameters; ",
    "bias weight-decay=-1": "'-1' is not a number of at least 0; write weight-decay=0.1, or "
    "weight-decay=0.1x",
}


@pytest.mark.parametrize(
    "text",
    [
        "bias,norm weight-decay=0 lr=2x",
        "bias, norm  lr = 2x, weight_decay=0",
        "bias norm lr=2x,weight-decay=0",
        " bias,norm weight-decay=0 ; norm,bias lr=2x",
    ],
)
def test_several_settings_of_the_same_parameters_may_be_written_together(text: str) -> None:
    groups = groups_of(text, "--for")
    values = {s: value_of(groups, s, 3.0, "last.weight", "norm") for s in ("lr", "weight-decay")}
    assert values == {"lr": 6.0, "weight-decay": 0.0}
    assert value_of(groups, "lr", 3.0, "last.weight", "matrix") == 3.0


@pytest.mark.parametrize("text", WRONG)
def test_what_means_nothing_is_one_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        read(given(grid={"optimizer": "adamw", "for": text}))
    (line,) = caught.value.lines
    assert line.startswith(f"--for: {WRONG[text]}")


def test_an_optimizer_that_cannot_have_groups_is_one_line() -> None:
    with pytest.raises(UserError) as caught:
        read(given(grid={"optimizer": "torch:Adam", "for": "bias lr=0.1x"}))
    (line,) = caught.value.lines
    assert line.startswith("--for: torch moves the parameters of torch:Adam itself, all alike; ")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("head.*", "no parameter is 'head.*'; the kinds are bias, matrix, the names w1, b1, w2"),
        ("norm", "no parameter is 'norm'; "),
        ("matirx", "no parameter is 'matirx'; did you mean 'matrix'?"),
    ],
)
def test_a_pattern_without_a_parameter_is_refused(pattern: str, said: str) -> None:
    rule = made("adamw", f"{pattern} lr=0.1x")
    with pytest.raises(UserError) as caught:
        rule.init(start(), ask_of(0))
    assert said in str(caught.value)


def test_a_kind_may_be_missing_beside_another() -> None:
    assert made("adamw", "bias,norm weight-decay=0").init(start(), ask_of(0))
    with pytest.raises(UserError, match=r"no parameter is 'head\.\*'"):
        made("adamw", "bias,head.* lr=0.1x").init(start(), ask_of(0))


class Both:
    """Two optimizers of torch, each for its own parameters."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> None:
        closure()
        for optimizer in self.optimizers:
            optimizer.step()


def two_of_torch(decay: float, **adam: float) -> Callable[[list[Tensor]], Any]:
    """Return what trains the second layer by AdamW, at a tenth of the rate, the first by SGD."""

    def make(held: list[Tensor]) -> Any:
        own = dict(zip(start(), held, strict=True))
        first, second = [own["w1"], own["b1"]], [own["w2"], own["b2"]]
        options = {"lr": 0.1 * RATE, "weight_decay": decay, **adam}
        sgd = torch.optim.SGD(first, lr=RATE, momentum=0.8, weight_decay=decay)
        return Both(sgd, torch.optim.AdamW(second, **options))  # type: ignore[arg-type]

    return make


SECOND = "?2 optimizer=adamw; ?2 lr=0.1x"


@pytest.mark.parametrize("decay", [0.1, 0.0])
def test_a_group_may_have_an_optimizer_of_its_own(decay: float) -> None:
    rule = made("momentum", SECOND, weight_decay=decay, momentum__beta=0.8, adamw__beta2=0.95)
    reference = theirs(two_of_torch(decay, betas=(0.9, 0.95)))  # type: ignore[arg-type]
    assert furthest(ours(rule, RATE), reference) < CLOSE
    # A rule that is there already takes the parameters that it is given, too.
    both = made("muon+adamw", "w1 optimizer=adamw", weight_decay=decay)
    assert [part.name for part in both.parts] == ["muon", "adamw"]
    assert both.owners({"w1": "matrix", "w2": "matrix", "b1": "bias"}).keys() == {"w1", "w2", "b1"}
    owners = both.owners({"w1": "matrix", "w2": "matrix", "b1": "bias"})
    assert {name: part.name for name, part in owners.items()} == {
        "w1": "adamw",
        "w2": "muon",
        "b1": "adamw",
    }


def test_optimizers_of_groups_are_stacked_and_wrapped() -> None:
    rules = [
        made("muon+momentum+ema", "w2 optimizer=adamw", weight_decay=decay) for decay in (0.1, 0.3)
    ]
    rates = (RATE, 0.01)
    for rule, lr, mapped in zip(rules, rates, stacked(rules, rates, steps=20), strict=True):
        assert furthest(mapped, ours(rule, lr, 20)) < CLOSE
        assert name_of(rule) == "muon+momentum+ema+for"


def test_the_options_of_a_groups_optimizer_are_varied() -> None:
    experiment = read(
        given(
            grid={"optimizer": "momentum", "lr": "0.1", "for": "bias optimizer=adamw"},
            vary={"adamw.beta2": "0.9,0.99"},
        )
    )
    assert len(experiment.grid.trials) == 2


NO_OPTIMIZER = {
    "bias optimizer=liom": "there is no optimizer or wrapper 'liom'; did you mean 'lion'?",
    "bias optimizer=ema": "ema is a wrapper, which goes around a rule; write --optimizer adamw+ema",
    "bias optimizer=lbfgs": "lbfgs takes steps of its own, in which all parameters are treated",
    "bias optimizer=svrg": "svrg moves all parameters of a linear model at once; ",
    "bias optimizer=lion+ema": "'lion+ema' is not the name of one of gdcli's optimizers; give a",
    "bias optimizer=rule.py": "'rule.py' is not the name of one of gdcli's optimizers; give a name",
    "bias optimizer=torch:SGD": "torch moves the parameters of torch:SGD itself",
}


@pytest.mark.parametrize("text", NO_OPTIMIZER)
def test_what_is_no_optimizer_of_a_group_is_one_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        read(given(grid={"optimizer": "adamw", "for": text}))
    (line,) = caught.value.lines
    assert line.startswith(f"--for: {NO_OPTIMIZER[text]}")


def test_a_group_that_its_optimizer_cannot_move_is_refused() -> None:
    mlp = Mlp()
    kinds: dict[str, Any] = {"0.weight": "matrix", "0.bias": "bias"}
    with pytest.raises(
        UserError, match=r"muon moves matrices and convolutions, and 0\.bias is none"
    ):
        check_rule(made("adamw", "bias optimizer=muon"), mlp, lambda: kinds)
    with pytest.raises(UserError, match="and --for leaves it none of mlp's; write adamw"):
        check_rule(made("muon+adamw", "matrix optimizer=lion"), mlp, lambda: kinds)
    check_rule(made("muon", "bias optimizer=lion"), mlp, lambda: kinds)


def test_a_semicolon_at_the_end_says_nothing() -> None:
    assert groups_of("bias lr=2x;", "--for") == groups_of("bias lr=2x", "--for")
