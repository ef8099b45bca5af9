"""Which learning rate is best for each setting, and how sure the seeds make that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite

from gdcli.analysis.quantiles import Spread, median, spread
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trial

TIED = 1e-4  # of the fall from the start: two losses this close are the same


@dataclass(frozen=True)
class Cell:
    """One setting at one learning rate: its trials, one a seed."""

    lr: float
    trials: tuple[Trial, ...]

    @cached_property
    def ran(self) -> tuple[Trial, ...]:
        """The trials with a result: all but the failed ones."""
        return tuple(trial for trial in self.trials if trial.status != "failed")

    @cached_property
    def loss(self) -> Spread | None:
        """The final training losses over the seeds, a diverged trial's being inf.

        None where every trial failed.
        """
        return spread([trial.loss for trial in self.ran]) if self.ran else None

    @cached_property
    def median(self) -> float:
        """The median final training loss over the seeds: inf where there is none."""
        return self.loss.median if self.loss else inf

    @cached_property
    def fallen(self) -> float:
        """The median step at which nearly all of the fall was done; inf where it is not known."""
        steps = [trial.fact("fallen_step") for trial in self.ran]
        return median([inf if step is None else step for step in steps]) if steps else inf

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return sum(trial.status == "diverged" for trial in self.trials)

    def test_loss(self) -> float | None:
        """Return the median final test loss, as the training loss's; None: there is no test set."""
        if all(trial.final["test_loss"] is None for trial in self.ran):
            return None
        return median([trial.final_or_inf("test_loss") for trial in self.ran])

    def metric(self, name: str) -> float | None:
        """Return a metric's median over the trials that finished with one; None: none did."""
        values = [trial.final[name] for trial in self.ran if trial.status == "finished"]
        finite = [value for value in values if value is not None and isfinite(value)]
        return median(finite) if finite else None


@dataclass(frozen=True)
class Setting:
    """All that is fixed but the learning rate and the seed: one row of the tables."""

    values: tuple[Value, ...]
    cells: tuple[Cell, ...]  # by learning rate, the smallest first

    @cached_property
    def tied(self) -> tuple[Cell, ...]:
        """The learning rates that end as low as the lowest: `tied`."""
        return tied(self.cells)

    @cached_property
    def best(self) -> Cell | None:
        """The best learning rate: `best`."""
        return best(self.cells)

    @property
    def median(self) -> float:
        """The median final training loss at the best learning rate: inf where there is none."""
        return self.best.median if self.best else inf

    @property
    def trials(self) -> Iterable[Trial]:
        """The trials at every learning rate."""
        return (trial for cell in self.cells for trial in cell.trials)


def tied(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells that end as low as the lowest: within TIED of the fall above it.

    The loss is the median final training loss over the seeds, the fall that from the start. None at
    all where in every cell half of the seeds diverged or none has a result.
    """
    lowest = min((cell.median for cell in cells), default=inf)
    if not isfinite(lowest):
        return ()
    highest = lowest + _margin(cells, lowest)
    return tuple(cell for cell in cells if cell.median <= highest)


def best(cells: Sequence[Cell]) -> Cell | None:
    """Return the cell that is there the soonest, of those that end as low as the lowest.

    Of two as soon the one with the lower loss, of two as low the first. None: there is none.
    """
    return min(tied(cells), key=lambda cell: (cell.fallen, cell.median), default=None)


def _margin(cells: Sequence[Cell], loss: float) -> float:
    """Return the loss that counts as nothing, beside the fall from the start to a loss."""
    starts = [trial.fact("initial_train_loss") for cell in cells for trial in cell.trials]
    known = [start for start in starts if start is not None and isfinite(start)]
    return TIED * max(0.0, median(known) - loss) if known else 0.0


def settings_of(trials: Sequence[Trial]) -> tuple[Setting, ...]:
    """Group trials by setting, in the order of the first of each, and by learning rate."""
    groups: dict[tuple[Value, ...], dict[float, list[Trial]]] = {}
    for trial in trials:
        groups.setdefault(trial.setting, {}).setdefault(trial.lr, []).append(trial)
    return tuple(
        Setting(values, tuple(Cell(lr, tuple(group)) for lr, group in sorted(rates.items())))
        for values, rates in groups.items()
    )
