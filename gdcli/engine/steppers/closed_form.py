"""Full-batch descent on a bowl along its axes: all steps to the next recorded point at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from gdcli.arrays import namespace
from gdcli.engine.programs.analytic import AnalyticProgram
from gdcli.engine.steppers.stepper import Stepper

if TYPE_CHECKING:
    from gdcli.engine.rule import Rule
    from gdcli.engine.sampling import Orders
    from gdcli.optimizer import State
    from gdcli.problem import Array, Params

Matrix: TypeAlias = "list[list[Array]]"  # rows of entries, each an array over coordinates and lanes

PART = 2048  # coordinates at a time: their matrices fit a cache


class ClosedForm(Stepper[AnalyticProgram]):
    """n steps as the n-th power of one.

    Along an axis with curvature h, the gap g to the minimiser and what a linear optimizer keeps
    are a vector that each step multiplies by the same small matrix: for plain descent the number
    1 - lr h, with a velocity two by two (Lessard, Recht and Packard 2016). The optimizer itself
    says what the matrix is, by its update of unit vectors.
    """

    words = "all steps to a recorded point as one power"

    def __init__(self, program: AnalyticProgram, rule: Rule, orders: Orders | None) -> None:
        """Take a program and a rule that fit."""
        super().__init__(program, rule, orders)
        bowl = program.function.curvature(program.everything)
        self.curvature, self.minimiser = cast("tuple[Array, Array]", bowl)

    @staticmethod
    def fits(program: AnalyticProgram, rule: Rule) -> bool:
        """Return whether every step multiplies by the same matrix."""
        bowl = program.function.curvature(program.everything) is not None
        return bowl and rule.optimizer.linear and rule.constant and not (rule.clips or rule.decays)

    @property
    def pause(self) -> None:
        """None: a power of a power has other bits."""
        return

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take all steps at once, some coordinates after others."""
        point, state = params["point"], states["point"]
        rates = self.rule.rates(first, params)["point"]
        names, gap = list(state), point - self.minimiser
        for start in range(0, gap.shape[-2], PART):
            here = (..., slice(start, start + PART), slice(None))
            step = self._step(self.curvature[here], rates, names)
            vector = [gap[here], *(state[name][here] for name in names)]
            moved = _applied(_power(step, last - first), vector)
            for whole, part in zip((gap, *state.values()), moved, strict=True):
                whole[here] = part
        params["point"] = self.minimiser + gap

    def _step(self, curvature: Array, rates: Array, names: list[str]) -> Matrix:
        """Return the matrix of one step, from what it makes of a gap alone and of each state."""
        rule = self.rule.rules["point"]
        one = namespace(rates).ones_like(curvature * rates)
        columns = []
        for unit in (None, *names):
            gap = one if unit is None else 0 * one
            state = {name: one if name == unit else 0 * one for name in names}
            direction, after = rule.update(curvature * gap, state, gap, 1)
            columns.append([gap - rates * direction, *(after[name] for name in names)])
        return [list(row) for row in zip(*columns, strict=True)]


def _power(matrix: Matrix, exponent: int) -> Matrix:
    """Return the matrix to a power of at least 1, by squaring."""
    if exponent == 1:
        return matrix
    half = _power(matrix, exponent // 2)
    square = _product(half, half)
    return _product(square, matrix) if exponent % 2 else square


def _product(a: Matrix, b: Matrix) -> Matrix:
    columns = [_applied(a, column) for column in map(list, zip(*b, strict=True))]
    return [list(row) for row in zip(*columns, strict=True)]


def _applied(matrix: Matrix, vector: list[Array]) -> list[Array]:
    """Return matrix @ vector."""
    return [sum(a * x for a, x in zip(row, vector, strict=True)) for row in matrix]
