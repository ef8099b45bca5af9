"""The laws of a problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from gdcli.discovery import name_of
from gdcli.engine.device import device_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families import needs_torch, program_for, why_not_stacked
from gdcli.engine.initial import Start, starting_point
from gdcli.engine.program import Program
from gdcli.engine.streams import stream
from gdcli.grid import Trial
from gdcli.laws.law import Law, require
from gdcli.laws.options import options
from gdcli.laws.trials import FEW, alone_as_together, train, trials_of
from gdcli.problem import Data, Network, Problem
from gdcli.training import Training

STEP = 1e-6  # of a difference quotient, in float64
CLOSE = 1e-3  # of a quotient and a slope, over the gradient's length: a kink may lie between
SAME = 1e-6  # of two ways to compute a loss in float64
DESCENT = 30  # steps
PENALTY = 0.01  # l2 of networks that are computed in two ways


@dataclass(frozen=True)
class ProblemLaws:
    """A problem with some options, and what it must keep to."""

    problem: type[Problem]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name, those first that others build upon."""
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
        """The methods it takes: only gd where there are no examples."""
        return ("gd",) if self.examples.examples == 1 else ("gd", "minibatch")

    @cached_property
    def start(self) -> Start:
        """Where a trial starts."""
        return starting_point(self.trial.problem, self.examples, 0)

    def program(self) -> Program:
        """Return the program of the trial."""
        device = device_for("cpu", "float64", networks=needs_torch(self.trial.problem))
        return program_for([self.trial], self.examples, device)

    def data(self) -> str:
        """Require examples in finite arrays of int64 or float64, of one length by part."""
        for name, part in _parts(self.examples):
            for key, array in part.items():
                where = f'{name} "{key}"'
                require(isinstance(array, np.ndarray), f"{where} is no NumPy array")
                kinds = array.dtype in (np.float64, np.int64)
                require(kinds, f"{where} is {array.dtype}: make it float64 or int64")
                require(np.isfinite(array).all(), f"{where} is not finite everywhere")
        return f"{self.examples.examples} training examples"

    def determinism(self) -> str:
        """Require equal examples and starts of equal streams."""
        problem = self.trial.problem
        draws = [problem.load(stream(name_of(problem), 7, "data")) for _ in range(2)]
        for (name, one), (_, other) in zip(*map(_parts, draws), strict=True):
            for key, array in one.items():
                same = np.array_equal(array, other[key])
                require(same, f'{name} "{key}" differs between two draws of one seed')
        for key, array in starting_point(problem, self.examples, 0).items():
            require(np.asarray(array).dtype == np.float64, f'the start "{key}" is not float64')
            require(np.isfinite(array).all(), f'the start "{key}" is not finite')
            same = np.array_equal(array, self.start[key])
            require(same, f'the start "{key}" differs between two draws of one seed')
        return f"{sum(array.size for array in self.start.values())} parameters"

    def purity(self) -> str:
        """Require that measuring changes nothing, and gives the same every time."""
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
            require(same, f"{name} is another one when it is measured again")
        return "nothing is changed, and the same comes out"

    def gradient(self) -> str:
        """Require the loss's gradient: difference quotients along random directions agree."""
        program, rng = self.program(), np.random.default_rng(0)
        point = program.evaluate(program.start([self.start]))
        slopes = {n: a[0] for n, a in program.unstacked(point.gradient).items()}
        length = sum(float((a * a).sum()) for a in slopes.values()) ** 0.5
        worst = 0.0
        for _ in range(3):
            way = {n: rng.standard_normal(a.shape) for n, a in self.start.items()}
            size = sum(float((a * a).sum()) for a in way.values()) ** 0.5
            ahead, behind = (self._loss(program, way, s * STEP / size) for s in (1, -1))
            expected = sum(float((slopes[n] * way[n]).sum()) for n in way) / size
            found = (ahead - behind) / (2 * STEP)
            off = abs(found - expected) / max(length, 1e-6)
            what = f"it says {expected:.6g} along a direction in which the loss changes by"
            require(off < CLOSE, f"{what} {found:.6g}")
            worst = max(worst, off)
        return f"difference quotients agree to {worst:.1g}"

    def _loss(self, program: Program, way: Start, by: float) -> float:
        moved = {name: array + by * way[name] for name, array in self.start.items()}
        value = program.evaluate(program.start([moved])).values["train_loss"]
        return float(program.lanes.gather(program.device.host(value))[0])

    def columns(self) -> str:
        """Require the columns of curves to be those that the problem names."""
        (curve,) = train((self.trial,)).values()
        known = {"train_loss", "grad_norm", "test_loss", *self.trial.problem.curve_columns}
        strange = sorted(set(curve) - known)
        require(not strange, f"metric_names lacks {', '.join(strange)}")
        return ", ".join(name for name in curve if name not in ("train_loss", "grad_norm")) or "-"

    def descent(self) -> str:
        """Require gradient descent to lower the loss with the defaults."""
        (curve,) = train(
            trials_of(self.problem, self.options, Training(steps=DESCENT, record=str(DESCENT)))
        ).values()
        first, last = curve["train_loss"][0], curve["train_loss"][-1]
        said = (
            f"from {first:.6g} to {last:.6g} in {DESCENT} steps at lr {self.problem.default_lr:g}"
        )
        require(last < first, f"the loss goes {said}: give it another default_lr")
        return said

    def engines(self) -> str:
        """Require the same columns of the fast way as of plain autograd, one trial at a time.

        Networks are tried with a penalty, too, which each way has for itself.
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
            require(same, f"{method}: one records {', '.join(fast)}, one {', '.join(plain)}")
            for name, values in fast.items():
                off = np.abs(values - plain[name]).max() / max(np.abs(plain[name]).max(), 1e-300)
                words = "losses differ" if name == "train_loss" else f"{name} differs"
                require(off < SAME, f"{method}: {words} by {off:.1g} of the largest")
        return f"{' and '.join(self.methods)}: the same losses, gradients and measures"

    def grid(self) -> str:
        """Require the same bits of a trial alone as in a grid."""
        lr, seeds = self.problem.default_lr, (0, 1)
        for method in self.methods:
            axes = self._axes(method) | {"lr": (lr / 3, lr / 10, lr), "seed": seeds}
            trials = trials_of(self.problem, self.options, **axes)
            alone_as_together(trials, trials[-1])
        return f"{' and '.join(self.methods)}: the same bits alone and among others"

    def _axes(self, method: str) -> dict[str, Any]:
        return {"method": (method,), "batch_size": (min(7, self.examples.examples),)}

    def stacking(self) -> str:
        """Say whether trials are computed together, and why not; both are well."""
        why = why_not_stacked(self.trial.problem, self.trial.training.data_seed)
        return f"one trial at a time: {why}" if why else "trials are computed together"


def _parts(data: Data) -> list[tuple[str, dict[str, Any]]]:
    return [("train", data.train), ("test", data.test), ("constants", data.constants)]
