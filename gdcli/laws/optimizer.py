"""The laws of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from gdcli.fields import options_of
from gdcli.laws.law import Broken, Law, require
from gdcli.laws.options import options
from gdcli.laws.trials import FEW, alone_as_together, train, trials_of
from gdcli.optimizer import Optimizer, State
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.quadratic import Quadratic
from gdcli.training import Training

STEPS = 4
SHAPE = (3, 4)
CLOSE = 1e-10  # NumPy and torch, in float64
RATES = (1e-3, 1e-2, 1e-1, 1.0)
Array = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class OptimizerLaws:
    """An update rule, and what it must keep to."""

    rule: type[Optimizer]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name, those first that others build upon."""
        yield "options", partial(options, self.rule)
        yield "shapes", self.shapes
        yield "purity", self.purity
        yield "elementwise", self.elementwise
        if not self.rule.needs_torch:
            yield "libraries", self.libraries
        if self.rule.linear:
            yield "linear", self.linear
        yield "descent", self.descent
        yield "grid", self.grid

    @property
    def array(self) -> Array:
        """What makes the arrays that it is tried on."""
        return _torch if self.rule.needs_torch else np.array

    def steps(
        self, array: Array, chosen: slice = slice(None), scale: float = 1.0
    ) -> list[np.ndarray]:
        """Return the directions of a few steps on some rows of a parameter."""
        rule, rng = self.rule(), np.random.default_rng(0)
        param = array(scale * rng.standard_normal(SHAPE)[chosen])
        state, found = rule.init(param), []
        for step in range(1, STEPS + 1):
            grad = array(scale * rng.standard_normal(SHAPE)[chosen])
            direction, state = rule.update(grad, state, param, step)
            param = param - 0.1 * direction
            found.append(np.asarray(direction).copy())
        return found

    def shapes(self) -> str:
        """Require direction and state to have the parameter's shape, and to be finite."""
        rule, rng = self.rule(), np.random.default_rng(0)
        param = self.array(rng.standard_normal(SHAPE))
        state = rule.init(param)
        for step in range(1, STEPS + 1):
            grad = self.array(rng.standard_normal(SHAPE))
            direction, after = rule.update(grad, state, param, step)
            names = f"{sorted(after)} after step {step}, {sorted(state)} before"
            require(set(after) == set(state), f"the state has the names {names}")
            for name, value in {"direction": direction, **after}.items():
                held = np.asarray(value)
                require(held.shape == SHAPE, f"{name} is of shape {held.shape}, not {SHAPE}")
                require(np.isfinite(held).all(), f"{name} is not finite after step {step}")
            state = after
        return f"state: {', '.join(state) or 'none'}"

    def purity(self) -> str:
        """Require that a step changes nothing in place, and gives the same every time."""
        rule, rng = self.rule(), np.random.default_rng(0)
        param, grad = (self.array(rng.standard_normal(SHAPE)) for _ in range(2))
        state = rule.update(grad, rule.init(param), param, 1)[1]
        given = {"grad": grad, "param": param, **{f"state {n}": a for n, a in state.items()}}
        before = {name: np.asarray(value).copy() for name, value in given.items()}
        first, again = (_flat(rule.update(grad, state, param, 2)) for _ in range(2))
        for name, value in given.items():
            require(np.array_equal(before[name], np.asarray(value)), f"it changes {name} in place")
        require(all(map(np.array_equal, first, again)), "the same step has another result")
        return "nothing is changed, and the same comes out"

    def elementwise(self) -> str:
        """Require that rows are moved together as each by itself."""
        whole = self.steps(self.array)
        for row in range(SHAPE[0]):
            part = self.steps(self.array, slice(row, row + 1))
            same = all(
                np.array_equal(a[row : row + 1], b) for a, b in zip(whole, part, strict=True)
            )
            require(same, "a row's direction depends on the other rows")
        return f"{SHAPE[0]} rows together and apart"

    def libraries(self) -> str:
        """Require the same of NumPy and torch."""
        ours = self.steps(np.array)
        try:
            theirs = self.steps(_torch)
        except TypeError as error:
            raise Broken(f"it does not take torch's tensors: {error}") from error
        close = all(np.allclose(a, b, rtol=CLOSE) for a, b in zip(ours, theirs, strict=True))
        require(close, "its directions in NumPy and in torch differ")
        return "the same in NumPy and torch"

    def linear(self) -> str:
        """Require twice the directions of twice the gradients and parameters."""
        once, twice = self.steps(self.array), self.steps(self.array, scale=2.0)
        close = all(np.allclose(2 * a, b, rtol=CLOSE) for a, b in zip(once, twice, strict=True))
        require(close, "it says linear = True, and twice the gradient is not twice the direction")
        return "twice the gradient is twice the direction"

    def descent(self) -> str:
        """Require that it lowers a bowl at one of some learning rates."""
        training = Training(steps=300, record="300")
        trials = trials_of(Quadratic, {}, training, lr=RATES)
        trials = tuple(replace(trial, optimizer=self.rule()) for trial in trials)
        ends = {t.lr: c["train_loss"] for t, c in zip(trials, train(trials).values(), strict=True)}
        best = min(ends, key=lambda lr: float(np.nan_to_num(ends[lr][-1], nan=np.inf)))
        first, last = ends[best][0], ends[best][-1]
        said = f"a bowl from {first:.3g} to {last:.3g} in 300 steps at lr {best:g}"
        require(last < 0.5 * first, f"at no rate of {RATES} does it lower a bowl by half")
        return said

    def grid(self) -> str:
        """Require the same bits of a trial alone as in a grid, whatever options vary."""
        rules = [self.rule(), *self._others()]
        cases: tuple[tuple[type[Any], dict[str, Any], dict[str, Any]], ...] = (
            (Quadratic, {}, {}),
            (LinearRegression, {"dataset": "diabetes"}, {"method": ("minibatch",)}),
        )
        for problem, chosen, axes in cases:
            more = axes | {"lr": (1e-3, 3e-4, 1e-2), "seed": (0, 1)}
            plain = trials_of(problem, chosen, FEW, **more)
            trials = tuple(replace(trial, optimizer=rule) for rule in rules for trial in plain)
            alone_as_together(trials, trials[len(plain) - 1])
        return f"the same bits alone and among others, {len(rules)} settings"

    def _others(self) -> Iterator[Optimizer]:
        """Yield the rule with each of its numbers at half its default."""
        for option in options_of(self.rule).values():
            if option.field in self.rule.stacked_fields() and option.field != "weight_decay":
                yield self.rule(**{option.field: 0.5 * option.default})


def _torch(values: np.ndarray) -> Any:
    from gdcli.engine.device import Torch

    return Torch("float64").array(values)


def _flat(result: tuple[Any, State]) -> list[np.ndarray]:
    return [np.asarray(value).copy() for value in (result[0], *result[1].values())]
