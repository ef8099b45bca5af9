"""The laws of methods, of composed optimizers, and of wrappers around a rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import _pytree as trees

from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.catalog.composed import Composed, Part, compose
from gdcli.engine.own_methods import why_not_mapped
from gdcli.engine.trial_ask import TrialAsk
from gdcli.errors import UserError
from gdcli.experiment.grid import default_lr
from gdcli.experiment.training import Training
from gdcli.fields import options_of
from gdcli.laws.law import (
    Law,
    alone_as_together,
    options,
    require,
    resumed_as_whole,
    train,
    trials_of,
)
from gdcli.method import Kind, Method, Wrapper
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.mlp import Mlp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gdcli.experiment.grid import Trial
    from gdcli.problem import Params

STEPS = 6
EXAMPLES = 12
SHAPES: dict[Kind, tuple[int, ...]] = {
    "matrix": (4, 3),
    "convolution": (2, 3, 2, 2),
    "embedding": (5, 3),
    "bias": (4,),
    "norm": (3,),
    "vector": (6,),
}
# In double precision, so that the engines can be compared after some steps.
SHORT = Training(steps=STEPS, record="step", dtype="float64")
NET = {"dataset": "wine", "hidden": (5,)}
BATCHES = {"method": ("minibatch",), "batch_size": (40,)}
RATES = (1e-3, 0.01, 0.1, 1.0)
# Of the largest loss, after one step and later: searches along lines and bases of singular matrices
# make much of the last digits.
CLOSE, CLOSE_LATER = 1e-9, 0.01


@dataclass(frozen=True)
class MethodLaws:
    """The laws of a method, on a linear model whose weights are of the kinds that it moves."""

    rule: type[Method]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        yield "options", self.options
        if not (self.rule.linear_models or self.rule.needs_labels):  # tried on a loss of any form
            yield "shapes", self.shapes
            yield "purity", self.purity
        yield "mapping", self.mapping
        yield "reference", self.reference
        yield "resume", self.resume
        yield "descent", self.descent

    def options(self) -> str:
        """Require a help text and a valid default of every option, and of the learning rate."""
        default_lr(self.rule, "options")
        return options(self.rule)

    def shapes(self) -> str:
        """Require finite parameters of their shapes, and a state of one form."""
        rule, params = self.rule(), self.start()
        shapes = {name: param.shape for name, param in params.items()}
        state = rule.init(params, self.ask(0))
        form = _form(state)
        for step in range(STEPS):
            params, state = rule.step(params, state, self.ask(step), _rate(), step + 1)
            for what, point in (("step", params), ("at", rule.at(params, state))):
                found = {name: param.shape for name, param in point.items()}
                require(found == shapes, f"{what} returns the shapes {found}, not {shapes}")
                finite = all(bool(param.isfinite().all()) for param in point.values())
                require(finite, f"{what} returns no finite numbers after step {step + 1}")
            require(_form(state) == form, f"the form of the state changes in step {step + 1}")
        return f"{len(trees.tree_leaves(state))} arrays in the state"

    def purity(self) -> str:
        """Require that a step changes nothing in place, and always gives the same result."""
        rule, params = self.rule(), self.start()
        state = rule.init(params, self.ask(0))
        params, state = rule.step(params, state, self.ask(0), _rate(), 1)
        before = [array.clone() for array in trees.tree_leaves((params, state))]
        asks = self.ask(1), self.ask(1)
        answers: list[tuple[Tensor, Tensor]] = []
        asks[0].slopes = partial(_noted, asks[0].slopes, answers)
        first, again = (
            trees.tree_leaves(rule.step(params, state, ask, _rate(), 2)) for ask in asks
        )
        rule.at(params, state)
        same = map(torch.equal, before, trees.tree_leaves((params, state)))
        require(all(same), "it changes the parameters or the state in place")
        require(all(torch.equal(*pair) for pair in answers), "it changes the gradient in place")
        require(all(map(torch.equal, first, again)), "repeating a step gives another result")
        return "no change in place, and the same result every time"

    def mapping(self) -> str:
        """Require equal bits, and examples, of a trial alone and in a grid whose options vary."""
        rule = self.whole()
        why = why_not_mapped(rule)
        fix = "write it for one trial, with torch.where in place of a branch on a value"
        require(why is None, f"its trials run one at a time, for {why}; {fix}")
        plain = [rule, *self._others()]
        cases: list[tuple[type[Any], dict[str, Any], list[Method]]]
        cases = [(Mlp, NET, [replace(r, weight_decay=0.01, clip_norm=1.0) for r in plain])]
        if not (self._only_some or self.rule.needs_labels):
            cases.append((LinearRegression, {"dataset": "diabetes"}, plain))
        for problem, chosen, rules in cases if not self.rule.linear_models else cases[1:]:
            trials = self._trials(problem, chosen, rules)
            alone_as_together(trials, trials[len(trials) // len(rules) - 1])
        return f"the same bits alone and among others, {len(plain)} settings"

    def reference(self) -> str:
        """Require the losses of a plain loop over one trial, and as many examples asked for."""
        trial = self._trials(*self._problem, [self.whole()])[-1]
        fast, loop = (train((trial,), engine)[trial.id] for engine in ("auto", "reference"))
        require(loop.keys() <= fast.keys(), f"a plain loop records {', '.join(loop)}")
        for name, values in loop.items():
            scale = np.nan_to_num(np.abs(values)).max()
            for few, close in ((2, CLOSE), (None, CLOSE_LATER)):
                if not (few or name.endswith("loss")):
                    continue
                pair = fast[name][:few], values[:few]
                same = np.allclose(*pair, rtol=0, atol=close * scale, equal_nan=True)
                require(same, f"{name} of stacked trials and of a plain loop differ")
        return "the losses of a plain loop"

    def resume(self) -> str:
        """Require the same bits of a training that goes on from any state that is kept."""
        trials = self._trials(*self._problem, [self.whole()])
        count = resumed_as_whole(trials[-2:])
        return f"the same bits from each of {count} states"

    def descent(self) -> str:
        """Require that the rule lowers the loss of a network at one of some learning rates."""
        problem, chosen = self._problem
        rates = *RATES, *([self.rule.default_lr] if self.rule.default_lr else [])
        training = Training(steps=60, record="60")
        trials = trials_of(problem, chosen, training, method=("gd",), lr=rates)
        rule = self.whole()
        trials = tuple(replace(trial, optimizer=rule) for trial in trials)
        ends = [curve["train_loss"] for curve in train(trials).values()]
        first, last = ends[0][0], min(float(np.nan_to_num(e[-1], nan=np.inf)) for e in ends)
        require(last < first, f"it lowers a loss at none of the rates {sorted(set(rates))}")
        return f"a loss from {first:.3g} to {last:.3g} in 60 steps"

    def whole(self) -> Method:
        """Return the rule, with Adam for the kinds of parameters that it does not move."""
        if not self._only_some:
            return self.rule()
        adam = Part("adam", OPTIMIZERS.find("adam", "gdcli check"))
        if issubclass(self.rule, Composed):
            return compose([*self.rule.parts, adam], "gdcli check")()
        return compose([Part("rule", self.rule), adam], "gdcli check")()

    @property
    def _only_some(self) -> bool:
        return self.rule.kinds is not None

    @property
    def _problem(self) -> tuple[type[Any], dict[str, Any]]:
        if self.rule.linear_models:
            return LinearRegression, {"dataset": "diabetes"}
        return Mlp, NET

    @staticmethod
    def _trials(
        problem: type[Any], chosen: dict[str, Any], rules: list[Method]
    ) -> tuple[Trial, ...]:
        """Return trials of two seeds and two rates, more than a vector register holds."""
        plain = trials_of(problem, chosen, SHORT, lr=(1e-3, 0.01), seed=(0, 1), **BATCHES)
        return tuple(replace(trial, optimizer=rule) for rule in rules for trial in plain)

    def _others(self) -> Iterator[Method]:
        """Yield rules with one numeric option each that is not its default."""
        rule = self.whole()
        for option in options_of(type(rule)).values():
            if option.field not in rule.stacked_fields() or option.field == "weight_decay":
                continue
            for value in (0.5 * option.default, 2 * option.default, 0.1, 1.0):
                try:
                    other = replace(rule, **{option.field: value})
                except UserError:  # out of the option's limits
                    continue
                if value != option.default:
                    yield other
                    break

    def start(self) -> Params:
        """Return a parameter of each kind that the rule moves."""
        rng = torch.Generator().manual_seed(0)
        kinds = [kind for kind in SHAPES if self.rule.kinds is None or kind in self.rule.kinds]
        return {
            kind: torch.randn(SHAPES[kind], generator=rng, dtype=torch.float64) for kind in kinds
        }

    def ask(self, step: int) -> TrialAsk:
        """Return what may be asked at a step, counted from 0."""
        params = self.start()
        rng = torch.Generator().manual_seed(step + 1)
        size = sum(param.numel() for param in params.values())
        x = torch.randn((EXAMPLES, size), generator=rng, dtype=torch.float64) / size**0.5
        y = torch.randn(EXAMPLES, generator=rng, dtype=torch.float64)

        def outputs(params: Params) -> Tensor:
            found: Tensor = x @ torch.cat([param.reshape(-1) for param in params.values()])
            return found

        def cost(z: Tensor) -> Tensor:
            error: Tensor = (z - y).square().mean()
            return error / 2

        def slopes(params: Params) -> tuple[Tensor, Params]:
            grads, loss = torch.func.grad_and_value(lambda p: cost(outputs(p)))(params)
            return loss, grads

        return TrialAsk(
            kind={kind: kind for kind in SHAPES if kind in params},
            horizon=STEPS,
            examples=EXAMPLES,
            slopes=slopes,
            all_slopes=slopes,
            differentiable=lambda params: cost(outputs(params)),
            size=EXAMPLES,
            key=("laws", 0),
            at=step,
            outputs=outputs,
            cost=cost,
        )


@dataclass(frozen=True)
class WrapperLaws:
    """The laws of a wrapper: those of momentum with the wrapper around it."""

    wrapper: type[Wrapper]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        parts: list[Part] = [
            Part("momentum", OPTIMIZERS.find("momentum", "gdcli check")),
            Part("wrapper", self.wrapper),
        ]
        yield "options", partial(options, self.wrapper)
        _, *others = MethodLaws(compose(parts, "gdcli check"))
        yield from others


def _noted(
    slopes: Any, answers: list[tuple[Tensor, Tensor]], params: Params
) -> tuple[Tensor, Params]:
    """Return loss and gradient, and note them with copies."""
    loss, grads = slopes(params)
    answers += [(array, array.clone()) for array in (loss, *grads.values())]
    return loss, grads


def _rate() -> Tensor:
    return torch.tensor(0.01, dtype=torch.float64)


def _form(state: Any) -> tuple[Any, list[torch.Size]]:
    leaves, form = trees.tree_flatten(state)
    return form, [leaf.shape for leaf in leaves]
