"""Which steps of a trial are watched whatever is recorded, and the names of the facts from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gdcli.engine.plan import Plan

POINTS = 64  # regular points at most, besides the start
STRETCHES = 16  # equal parts of the budget, each with a mean loss
SINGLES = 8  # last steps of full-batch descent that are watched one by one
CAUSES = ("", "growth", "overflow", "nan")  # why a loss left its bounds, by code


class Watched(NamedTuple):
    """Which steps of a trial are watched, ascending."""

    regular: tuple[int, ...]  # the start, equal intervals, the last step
    singles: tuple[int, ...] = ()  # the last steps of full-batch descent, one by one
    early: tuple[int, ...] = ()  # powers of two, for what happens fast

    @property
    def steps(self) -> tuple[int, ...]:
        """All watched steps, each once, ascending."""
        return tuple(sorted({*self.regular, *self.singles, *self.early}))


def watched(plan: Plan, *, stochastic: bool) -> Watched:
    """Return the steps at which a trial is watched: some hundred at most.

    Descent on mini-batches is watched at ends of epochs, where a record by epochs is evaluated
    anyway. Descent on all examples is also watched at its last single steps.
    """
    unit = plan.steps_per_epoch if stochastic else 1
    interval = unit * -(-plan.steps // (unit * POINTS))
    regular = (*range(0, plan.steps, interval), plan.steps)
    first = plan.steps if stochastic else max(0, plan.steps - SINGLES)
    last = min(plan.steps, unit * POINTS) // unit
    early = tuple(unit * 2**k for k in range(last.bit_length()))
    return Watched(regular, tuple(range(first, plan.steps)), early)
