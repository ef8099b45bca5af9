"""The laws of problems, optimizers and schedules, and how `gdcli check` applies them.

A file may hold a problem and an optimizer for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.catalog.catalog import (
    MEASURES,
    OPTIMIZERS,
    PROBLEMS,
    SCHEDULES,
    WRAPPERS,
    Catalogue,
    name_of,
)
from gdcli.catalog.user_code import absolute, holds, is_file, parts_of
from gdcli.engine.device import Torch, device_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import needs_torch, program_for, starting_point, why_not_stacked
from gdcli.engine.refusals import why_not_elementwise
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.experiment.grid import default_lr
from gdcli.experiment.training import Training
from gdcli.fields import options_of, show, suggestion
from gdcli.laws.law import (
    FEW,
    Broken,
    Kept,
    Law,
    alone_as_together,
    kept,
    options,
    require,
    train,
    trials_of,
)
from gdcli.laws.of_measures import MeasureLaws
from gdcli.laws.of_methods import MethodLaws, WrapperLaws
from gdcli.measure import MEASURED
from gdcli.method import Method
from gdcli.optimizer import Optimizer, State
from gdcli.problem import Data, Network, Problem
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.quadratic import Quadratic
from gdcli.schedule import Schedule

if TYPE_CHECKING:
    from gdcli.engine.initial import Start
    from gdcli.engine.programs.program import Program
    from gdcli.experiment.grid import Trial

STEPS = 4
SHAPE = (3, 4)
CLOSE = 1e-10  # NumPy and torch, in float64
RATES = (1e-3, 1e-2, 1e-1, 1.0)
Array = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class OptimizerLaws:
    """The laws of an update rule."""

    rule: type[Optimizer]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        yield "options", self.options
        yield "shapes", self.shapes
        yield "purity", self.purity
        yield "elementwise", self.elementwise
        if not self.rule.needs_torch:
            yield "libraries", self.libraries
        if self.rule.linear:
            yield "linear", self.linear
        yield "descent", self.descent
        yield "grid", self.grid

    def options(self) -> str:
        """Require a help text and a valid default of every option, and of the learning rate."""
        default_lr(self.rule, "options")
        return options(self.rule)

    @property
    def array(self) -> Array:
        """The functions that make the arrays of the tests."""
        return _torch if self.rule.needs_torch else np.array

    def steps(
        self, array: Array, chosen: slice = slice(None), scale: float = 1.0
    ) -> list[np.ndarray]:
        """Return the directions of a few steps for some rows of a parameter."""
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
        """Require that direction and state are finite and have the parameter's shape."""
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
                require(held.shape == SHAPE, f"{name} has the shape {held.shape}, not {SHAPE}")
                require(np.isfinite(held).all(), f"{name} is not finite after step {step}")
            state = after
        return f"state: {', '.join(state) or 'none'}"

    def purity(self) -> str:
        """Require that a step changes nothing in place, and always gives the same result."""
        rule, rng = self.rule(), np.random.default_rng(0)
        param, grad = (self.array(rng.standard_normal(SHAPE)) for _ in range(2))
        state = rule.update(grad, rule.init(param), param, 1)[1]
        given = {"grad": grad, "param": param, **{f"state {n}": a for n, a in state.items()}}
        before = {name: np.asarray(value).copy() for name, value in given.items()}
        first, again = (_flat(rule.update(grad, state, param, 2)) for _ in range(2))
        for name, value in given.items():
            require(np.array_equal(before[name], np.asarray(value)), f"it changes {name} in place")
        require(all(map(np.array_equal, first, again)), "repeating a step gives another result")
        return "no change in place, and the same result every time"

    def elementwise(self) -> str:
        """Require that the direction of a coordinate depends on that coordinate alone."""
        why = why_not_elementwise(self.rule())
        fix = "for a rule of all coordinates derive from gdcli.method.Method in place of Optimizer"
        require(why is None, f"{why}; {fix}")
        return "the same directions of coordinates together and of each alone"

    def libraries(self) -> str:
        """Require the same directions in NumPy and torch."""
        ours = self.steps(np.array)
        try:
            theirs = self.steps(_torch)
        except TypeError as error:
            raise Broken(f"it does not accept torch tensors: {error}") from error
        close = all(np.allclose(a, b, rtol=CLOSE) for a, b in zip(ours, theirs, strict=True))
        require(close, "its directions in NumPy and in torch differ")
        return "the same in NumPy and torch"

    def linear(self) -> str:
        """Require that twice the gradients and parameters give twice the directions."""
        once, twice = self.steps(self.array), self.steps(self.array, scale=2.0)
        close = all(np.allclose(2 * a, b, rtol=CLOSE) for a, b in zip(once, twice, strict=True))
        require(
            close, "it sets linear = True, but twice the gradient does not give twice the direction"
        )
        return "twice the gradient gives twice the direction"

    def descent(self) -> str:
        """Require that the rule lowers a quadratic bowl at one of some learning rates."""
        training = Training(steps=300, record="300")
        trials = trials_of(Quadratic, {}, training, lr=RATES)
        trials = tuple(replace(trial, optimizer=self.rule()) for trial in trials)
        ends = {t.lr: c["train_loss"] for t, c in zip(trials, train(trials).values(), strict=True)}
        best = min(ends, key=lambda lr: float(np.nan_to_num(ends[lr][-1], nan=np.inf)))
        first, last = ends[best][0], ends[best][-1]
        said = f"a bowl from {first:.3g} to {last:.3g} in 300 steps at lr {best:g}"
        require(last < 0.5 * first, f"it lowers a bowl by half at none of the rates {RATES}")
        return said

    def grid(self) -> str:
        """Require equal bits of a trial alone and in a grid in which the options vary."""
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
        """Yield rules with one option each at half its default."""
        for option in options_of(self.rule).values():
            if option.field in self.rule.stacked_fields() and option.field != "weight_decay":
                yield self.rule(**{option.field: 0.5 * option.default})


def _torch(values: np.ndarray) -> Any:
    return Torch("float64").array(values)


def _flat(result: tuple[Any, State]) -> list[np.ndarray]:
    return [np.asarray(value).copy() for value in (result[0], *result[1].values())]


HORIZONS = (1, 2, 7, 100, 12345)


@dataclass(frozen=True)
class ScheduleLaws:
    """The laws of a schedule."""

    schedule: type[Schedule]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        yield "options", partial(options, self.schedule)
        yield "values", self.values
        yield "determinism", self.determinism
        yield "grid", self.grid

    def values(self) -> str:
        """Require that multipliers are finite Python numbers of at least 0."""
        ends = math.inf, -math.inf
        for horizon in HORIZONS:
            for step in range(horizon):
                value = self.schedule().multiplier(step, horizon)
                where = f"at step {step} of {horizon}"
                plain = isinstance(value, int | float)
                require(plain, f"the multiplier {where} is a {type(value).__name__}, not a number")
                require(math.isfinite(value) and value >= 0, f"the multiplier {where} is {value}")
                ends = min(ends[0], value), max(ends[1], value)
        return f"from {ends[0]:.6g} to {ends[1]:.6g}"

    def determinism(self) -> str:
        """Require that the multiplier of a step does not depend on earlier calls."""
        schedule = self.schedule()
        ahead = [schedule.multiplier(step, 50) for step in range(50)]
        back = [schedule.multiplier(step, 50) for step in reversed(range(50))]
        require(ahead == back[::-1], "the multiplier of a step depends on earlier calls")
        return "the same forwards and backwards"

    def grid(self) -> str:
        """Require equal bits of a trial alone and in a grid."""
        trials = trials_of(Quadratic, {}, FEW, lr=(0.01, 0.02, 0.1))
        trials = tuple(replace(trial, schedule=self.schedule()) for trial in trials)
        return alone_as_together(trials, trials[1])


STEP = 1e-6  # step of a difference quotient, in float64
CLOSE_LOSSES = 1e-3  # allowed difference of quotient and slope, relative to the gradient norm
SAME = 1e-6  # allowed difference of two ways to compute a loss in float64
DESCENT = 30  # steps
PENALTY = 0.01  # l2 for networks when two ways are compared


@dataclass(frozen=True)
class ProblemLaws:
    """The laws of a problem with given options."""

    problem: type[Problem]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        yield "options", partial(options, self.problem)
        yield "data", self.data
        yield "determinism", self.determinism
        yield "purity", self.purity
        yield "gradient", self.gradient
        yield "columns", self.columns
        yield "descent", self.descent
        yield "engines", self.engines
        yield "grid", self.grid
        yield "stacking", self.stacking

    @cached_property
    def trial(self) -> Trial:
        """A trial in double precision."""
        precise = replace(FEW, dtype="float64")
        return trials_of(self.problem, self.options, precise)[0]

    @cached_property
    def examples(self) -> Data:
        """The examples."""
        return examples_of(self.trial)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods of the problem: only gd without examples."""
        return ("gd",) if self.examples.examples == 1 else ("gd", "minibatch")

    @cached_property
    def start(self) -> Start:
        """The starting point of a trial."""
        return starting_point(self.trial.problem, self.examples, 0)

    def program(self) -> Program:
        """Return the program of the trial."""
        device = device_for("cpu", "float64", networks=needs_torch(self.trial.problem))
        return program_for([self.trial], self.examples, device)

    def data(self) -> str:
        """Require finite NumPy arrays of int64 or float64, of one length in each part."""
        for name, part in _parts(self.examples):
            for key, array in part.items():
                where = f'{name} "{key}"'
                require(isinstance(array, np.ndarray), f"{where} is not a NumPy array")
                kinds = array.dtype in (np.float64, np.int64)
                require(kinds, f"{where} is {array.dtype}: make it float64 or int64")
                require(np.isfinite(array).all(), f"{where} is not finite everywhere")
        return f"{self.examples.examples} training examples"

    def determinism(self) -> str:
        """Require equal examples and starting points for equal random streams."""
        problem = self.trial.problem
        draws = [problem.load(stream(name_of(problem), 7, "data")) for _ in range(2)]
        for (name, one), (_, other) in zip(*map(_parts, draws), strict=True):
            for key, array in one.items():
                same = np.array_equal(array, other[key])
                require(same, f'{name} "{key}" differs between two draws with one seed')
        for key, array in starting_point(problem, self.examples, 0).items():
            require(np.asarray(array).dtype == np.float64, f'the start "{key}" is not float64')
            require(np.isfinite(array).all(), f'the start "{key}" is not finite')
            same = np.array_equal(array, self.start[key])
            require(same, f'the start "{key}" differs between two draws with one seed')
        return f"{sum(array.size for array in self.start.values())} parameters"

    def purity(self) -> str:
        """Require that measuring changes nothing in place, and always gives the same result."""
        program, host = self.program(), self.program().device.host
        params = program.start([self.start])
        before = {
            **{n: host(a).copy() for n, a in params.items()},
            **{f"train {n}": host(a).copy() for n, a in program.train.items()},
        }
        first = program.evaluate(params)
        again = program.evaluate(params)
        after = {**params, **{f"train {n}": a for n, a in program.train.items()}}
        for name, array in before.items():
            require(np.array_equal(array, host(after[name])), f"it changes {name} in place")
        for name, value in first.values.items():
            same = np.array_equal(host(value), host(again.values[name]), equal_nan=True)
            require(same, f"{name} changes when it is measured again")
        return "no change in place, and the same result every time"

    def gradient(self) -> str:
        """Require that the gradient agrees with difference quotients along random directions."""
        program, rng = self.program(), np.random.default_rng(0)
        point = program.evaluate(program.start([self.start]))
        slopes = {n: a[0] for n, a in program.by_trial(point.gradient).items()}
        length = sum(float((a * a).sum()) for a in slopes.values()) ** 0.5
        worst = 0.0
        for _ in range(3):
            way = {n: rng.standard_normal(a.shape) for n, a in self.start.items()}
            size = sum(float((a * a).sum()) for a in way.values()) ** 0.5
            ahead, behind = (self._loss(program, way, s * STEP / size) for s in (1, -1))
            expected = sum(float((slopes[n] * way[n]).sum()) for n in way) / size
            found = (ahead - behind) / (2 * STEP)
            off = abs(found - expected) / max(length, 1e-6)
            what = f"the slope is {expected:.6g} along a direction in which the loss changes by"
            require(off < CLOSE_LOSSES, f"{what} {found:.6g}")
            worst = max(worst, off)
        return f"difference quotients agree to {worst:.1g}"

    def _loss(self, program: Program, way: Start, by: float) -> float:
        moved = {name: array + by * way[name] for name, array in self.start.items()}
        value = program.evaluate(program.start([moved])).values["train_loss"]
        return float(program.layout.gather(program.device.host(value))[0])

    def columns(self) -> str:
        """Require that the columns of the curves are those that the problem names."""
        (curve,) = train((self.trial,)).values()
        known = {*MEASURED, *self.trial.problem.curve_columns}
        strange = sorted(set(curve) - known)
        require(not strange, f"metric_names lacks {', '.join(strange)}")
        return ", ".join(name for name in curve if name not in ("train_loss", "grad_norm")) or "-"

    def descent(self) -> str:
        """Require that gradient descent lowers the loss with the defaults."""
        (curve,) = train(
            trials_of(self.problem, self.options, Training(steps=DESCENT, record=str(DESCENT)))
        ).values()
        first, last = curve["train_loss"][0], curve["train_loss"][-1]
        said = (
            f"from {first:.6g} to {last:.6g} in {DESCENT} steps at lr {self.problem.default_lr:g}"
        )
        require(last < first, f"the loss goes {said}: choose another default_lr")
        return said

    def engines(self) -> str:
        """Require equal curves of the fast program and of plain autograd, one trial at a time.

        Networks also have an L2 penalty here, because both ways compute it separately.
        """
        chosen = {"l2": PENALTY} if issubclass(self.problem, Network) else {}
        for method in self.methods:
            (trial,) = trials_of(
                self.problem,
                {**chosen, **self.options},
                self.trial.training,
                **self._axes(method),
            )
            fast, plain = (train((trial,), engine)[trial.id] for engine in ("auto", "reference"))
            same = set(fast) == set(plain)
            require(
                same,
                f"{method}: the fast way has {', '.join(fast)}, the plain way {', '.join(plain)}",
            )
            for name, values in fast.items():
                off = np.abs(values - plain[name]).max() / max(np.abs(plain[name]).max(), 1e-300)
                words = "the losses differ" if name == "train_loss" else f"{name} differs"
                require(off < SAME, f"{method}: {words} by {off:.1g} of the largest")
        return f"{' and '.join(self.methods)}: the same losses, gradients and measures"

    def grid(self) -> str:
        """Require equal bits of a trial alone and in a grid."""
        lr, seeds = self.problem.default_lr, (0, 1)
        for method in self.methods:
            axes = self._axes(method) | {"lr": (lr / 3, lr / 10, lr), "seed": seeds}
            trials = trials_of(self.problem, self.options, **axes)
            alone_as_together(trials, trials[-1])
        return f"{' and '.join(self.methods)}: the same bits alone and among others"

    def _axes(self, method: str) -> dict[str, Any]:
        return {"method": (method,), "batch_size": (min(7, self.examples.examples),)}

    def stacking(self) -> str:
        """Report whether trials are stacked, or why not; both are allowed."""
        why = why_not_stacked(self.trial.problem, self.trial.training.data_seed)
        return f"one trial at a time: {why}" if why else "trials are computed together"


def _parts(data: Data) -> list[tuple[str, dict[str, Any]]]:
    return [("train", data.train), ("test", data.test), ("constants", data.constants)]


def _of_rule(rule: type[Any]) -> OptimizerLaws | MethodLaws:
    return MethodLaws(rule) if issubclass(rule, Method) else OptimizerLaws(rule)


LAWS: dict[str, Any] = {
    "problem": ProblemLaws,
    "optimizer": _of_rule,
    "wrapper": WrapperLaws,
    "schedule": ScheduleLaws,
    "measure": MeasureLaws,
}


def check(reference: str, where: str) -> dict[str, list[Kept]]:
    """Return the results of the laws, by "problem", "optimizer", "wrapper", "schedule", "measure".

    Raises UserError, naming `where`, for a reference to none of them, and for a file that cannot
    be run.
    """
    reference = absolute(reference)
    catalogues: tuple[Catalogue[Any], ...]
    catalogues = (PROBLEMS, OPTIMIZERS, WRAPPERS, SCHEDULES, MEASURES)
    if len(parts_of(reference)) > 1:
        return {"optimizer": kept(_of_rule(OPTIMIZERS.find(reference, where)))}
    found = {c.word: c.find(reference, where) for c in catalogues if _has(c, reference, where)}
    if not found:
        kinds = "problem, optimizer, wrapper, schedule or measure"
        if is_file(reference):
            what = f"{show(reference)} holds no {kinds}"
            raise UserError(where, what, "give a file that does; gdcli new writes one")
        names = [name for catalogue in catalogues for name in catalogue.names()]
        what = f"there is no {kinds} {show(reference)}"
        raise UserError(where, what, suggestion(reference, names) or "give a file or a name")
    return {word: kept(LAWS[word](cls)) for word, cls in found.items()}


def _has(catalogue: Catalogue[Any], reference: str, where: str) -> bool:
    if is_file(reference):
        return holds(reference, catalogue.contract, where)
    if ":" not in reference:
        return reference in catalogue.names()
    try:
        catalogue.find(reference, where)
    except UserError:
        return False
    return True
