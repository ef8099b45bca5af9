"""Two settings over the seeds they share, each at its best learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

from gdcli.analysis.bootstrap import Interval, median_interval
from gdcli.analysis.quantiles import median
from gdcli.analysis.results import Setting
from gdcli.analysis.rows import Value
from gdcli.analysis.wilcoxon import signed_rank_p

Key = Callable[[Setting], object]


@dataclass(frozen=True)
class Pair:
    """Two settings over the seeds they share."""

    first: Setting
    second: Setting
    seeds: int  # that both have a result for
    difference: float | None  # the median over them of the second's final training loss less the
    # first's; inf where the second alone diverged
    interval: Interval | None
    p: float | None  # that differences as large come about by chance; None: there are none


def pairs(settings: Sequence[Setting], problem: Key) -> Iterator[Pair]:
    """Yield every setting beside that with the lowest median, among those of one `problem`."""
    groups: dict[object, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(problem(setting), []).append(setting)
    for group in groups.values():
        best = min(group, key=lambda setting: setting.median)
        if best.best is not None:
            yield from (pair(best, other) for other in group if other is not best)


def pair(first: Setting, second: Setting) -> Pair:
    """Return what the seeds of both say: equal seeds have the same start and the same examples."""
    ours, theirs = _losses(first), _losses(second)
    differences = [_difference(theirs[seed], ours[seed]) for seed in ours if seed in theirs]
    if not differences:
        return Pair(first, second, 0, None, None, None)
    middle = median(differences)
    return Pair(
        first,
        second,
        len(differences),
        0.0 if isnan(middle) else middle,  # half-way between -inf and inf
        median_interval(differences),
        signed_rank_p(differences),
    )


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for how many they are (Holm 1979); None stays so, and counts not.

    Below a level they all hold together: the chance that any of the equal pairs is there is it.
    """
    order = sorted((p, place) for place, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[place] = highest
    return corrected


def _losses(setting: Setting) -> dict[Value, float]:
    """Return the final losses at the best learning rate, by seed."""
    cell = setting.best or setting.cells[0]
    return {trial.seed: trial.loss for trial in cell.ran}


def _difference(loss: float, other: float) -> float:
    """Return how much one loss is above another: of two that diverged neither."""
    difference = loss - other
    return 0.0 if isnan(difference) else difference
