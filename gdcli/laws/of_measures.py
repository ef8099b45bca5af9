"""The laws of a measure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.engine.batch import loop_for
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import copied
from gdcli.experiment.training import Training
from gdcli.laws.law import FEW, Law, alone_as_together, require, train, trials_of
from gdcli.measure import OF_EVERY_RUN, Measure
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.matrix_factorization import MatrixFactorization
from gdcli.problems.mlp import Mlp
from gdcli.problems.quadratic import Quadratic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdcli.experiment.grid import Trial
    from gdcli.laws.law import Curve

ON: tuple[tuple[type[Any], dict[str, Any]], ...] = (  # one of each program
    (Quadratic, {}),
    (LinearRegression, {"dataset": "diabetes"}),
    (Mlp, {"dataset": "iris", "hidden": (6,)}),
    (MatrixFactorization, {"rows": 6, "columns": 5, "density": 0.9}),
)
CLOSE_ENGINES = 1e-3  # of the largest value: networks compute in float32


@dataclass(frozen=True)
class MeasureLaws:
    """The laws of a measure."""

    measure: type[Measure]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        yield "columns", self.columns
        yield "purity", self.purity
        yield "others", self.others
        yield "engines", self.engines
        yield "grid", self.grid

    @cached_property
    def training(self) -> Training:
        """A short training that records the measure, as a file of the user's own may be, too."""
        kind = self.measure

        class Measuring(Training):
            """What it records is the class itself, not one that is found by its name."""

            @property
            def measures(self) -> tuple[type[Measure], ...]:
                """The measure."""
                return (kind,)

        return Measuring(steps=FEW.steps, record=FEW.record)

    def columns(self) -> str:
        """Require columns of numbers that say what they are, under names of their own."""
        names = [column.name for column in self.measure.columns]
        require(names, "it has no column")
        for column in self.measure.columns:
            require(column.phrase, f"the column {column.name} has no phrase")
            kind = f"the column {column.name} is of kind {column.kind}, not number or whole"
            require(column.kind in ("number", "whole"), kind)
            taken = column.name in [other.name for other in OF_EVERY_RUN]
            require(not taken, f"every run has a column {column.name} already")
            require(names.count(column.name) == 1, f"it has two columns {column.name}")
        return ", ".join(names)

    def purity(self) -> str:
        """Require that it changes neither the parameters nor the evaluation that it is given."""
        for trials in self._cases(FEW, lr=(0.01,), seed=(0, 1)):
            data = examples_of(trials[0])
            plan = plan_of(trials[0], data.examples)
            loop = loop_for(trials, data, plan, "cpu")
            program, params = loop.program, loop.params
            host, point = program.device.host, program.evaluate(params)
            running = namespace(point.values["train_loss"]).isfinite(point.values["train_loss"])
            point = point._replace(running=running)
            given = {"parameter": params, "gradient": point.gradient, "value": point.values}
            before = {what: copied(arrays) for what, arrays in given.items()}
            measure = self.measure()
            measure.values(program, params, point, measure.prepare(program, params))
            for what, arrays in given.items():
                require(arrays.keys() == before[what].keys(), f"it adds or removes a {what}")
                for name, array in arrays.items():
                    held = host(before[what][name]), host(array)
                    require(np.array_equal(*held, equal_nan=True), f"it changes the {what} {name}")
        return "no change of what it is given"

    def others(self) -> str:
        """Require that losses, steps and metrics have the same bits with the measure."""
        count = 0
        own = {column.name for column in self.measure.columns}
        for bare, measured in self._pairs():
            for plain, curve in zip(bare, measured, strict=True):
                require(curve.keys() == plain.keys() | own, f"it records {', '.join(curve)}")
                for name, values in plain.items():
                    same = values.tobytes() == curve[name].tobytes()
                    require(same, f"{name} is another with the measure than without it")
                count += 1
        return f"the same bits with it and without it, {count} trials"

    def engines(self) -> str:
        """Require about the same values of the stacked trials and of plain autograd."""
        for trials in self._cases(self.training, lr=(0.01,)):
            fast, plain = (train(trials, engine)[trials[0].id] for engine in ("auto", "reference"))
            for column in self.measure.columns:
                one, other = fast[column.name], plain[column.name]
                scale = CLOSE_ENGINES * np.nan_to_num(np.abs(other)).max()
                close = np.allclose(one, other, rtol=0, atol=scale, equal_nan=True)
                problem = name_of(trials[0].problem)
                require(close, f"{column.name} of {problem} differs between the engines")
        return "about the same in both engines"

    def grid(self) -> str:
        """Require equal bits of a trial alone and in a grid, twice."""
        for trials in self._cases(self.training, lr=(0.003, 0.001, 0.01), seed=(0, 1)):
            alone_as_together(trials, trials[-1])
        return "the same bits alone and among others"

    def _pairs(self) -> Iterator[tuple[list[Curve], list[Curve]]]:
        """Yield the curves of the same trials without the measure and with it."""
        axes = {"lr": (0.01, 1e30), "seed": (0, 1)}  # one diverges
        for cases in zip(self._cases(FEW, **axes), self._cases(self.training, **axes), strict=True):
            bare, measured = (list(train(trials).values()) for trials in cases)
            yield bare, measured

    def _cases(self, training: Training, **axes: Any) -> Iterator[tuple[Trial, ...]]:
        for problem, chosen in ON:
            yield trials_of(problem, chosen, training, **axes)
