"""Compares a problem's gradient by backpropagation with finite differences, and prints both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gdcli.catalog.catalog import name_of
from gdcli.engine.device import device_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, needs_torch, program_for, starting_point
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.experiment.grid import Trial
from gdcli.numbers import distinct_labels
from gdcli.report.text_tables import print_rows
from gdcli.studies.landscape.surface import losses_at
from gdcli.studies.training import Layout, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from gdcli.runs.csv_read import Value
    from gdcli.studies.options import GradientCheck

STEP = float(np.cbrt(np.finfo(np.float64).eps))  # of central differences: their errors balance
NARROW = 16  # times as small is the second step: few kinks within the first are within it
ROUNDING = 20 * float(np.finfo(np.float64).eps)  # of a loss, for all it is summed from
TINY = 1e-6  # of the largest slope: a slope below it is compared with that
SHARP = 1e-3  # of a slope: a step of a smooth loss changes its slope by a millionth or so
MOST_NUMBERS = 4_000_000  # of the points that are evaluated at once
DIRECTION = "random direction"


@dataclass(frozen=True)
class Kink:
    """An entry whose slopes on both sides differ, by more than rounding and curvature explain."""

    entry: str
    left: float  # difference quotient
    right: float


@dataclass(frozen=True)
class Checked:
    """What was found of one parameter."""

    name: str
    shape: str
    entries: int  # that were checked
    slope: float  # by backpropagation, where the two disagree most
    quotient: float  # by differences, there
    difference: float  # relative to the larger of both
    allowed: float  # such a difference
    agrees: bool
    kinks: tuple[Kink, ...]


@dataclass(frozen=True)
class _Sides:
    """Difference quotients along some lines, on each side of the start."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    noise: NDArray[np.float64]  # what rounding may make of a quotient

    @property
    def central(self) -> NDArray[np.float64]:
        """The central quotients."""
        return (self.left + self.right) / 2

    @property
    def bend(self) -> NDArray[np.float64]:
        """How much the sides differ: in proportion to the step, where the loss is smooth."""
        return self.right - self.left


@dataclass(frozen=True)
class _Lines:
    """Lines through the start along which the loss is differenced."""

    trial: Trial
    layout: Layout
    origin: NDArray[np.float64]  # flat
    places: NDArray[np.int64]  # the entry that each line but the last changes
    direction: NDArray[np.float64]  # of the last line
    gaps: NDArray[np.float64]  # the step on each line

    def sides(self, which: NDArray[np.int64], narrower: int) -> _Sides:
        """Return the quotients on some lines, at a step so many times narrower."""
        at_once = max(1, MOST_NUMBERS // len(self.origin))
        parts = [which[i : i + at_once] for i in range(0, len(which), at_once)]
        found = [self._sides(part, self.gaps[part] / narrower) for part in parts]
        return _Sides(*(np.concatenate(held) for held in zip(*found, strict=True)))

    def _sides(
        self, which: NDArray[np.int64], gaps: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the quotients on both sides, and their noise."""
        moved = gaps[:, None] * self._along(which)
        points = np.concatenate([self.origin[None], self.origin - moved, self.origin + moved])
        losses = np.concatenate([*losses_at(points, self.layout, self.trial, "cpu")])
        below, above = losses[1 : len(which) + 1], losses[len(which) + 1 :]
        size = np.maximum(np.maximum(np.abs(below), np.abs(above)), abs(losses[0]))
        left, right = (losses[0] - below) / gaps, (above - losses[0]) / gaps
        return left, right, ROUNDING * size / gaps

    def _along(self, which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the directions of some lines, (lines, parameters)."""
        rows = np.zeros((len(which), len(self.origin)))
        single = which < len(self.places)
        rows[np.flatnonzero(single), self.places[which[single]]] = 1
        rows[~single] = self.direction
        return rows


@dataclass(frozen=True)
class _Judged:
    """What is found on every line."""

    quotients: NDArray[np.float64]
    differences: NDArray[np.float64]  # relative
    allowed: NDArray[np.float64]
    agree: NDArray[np.bool_]
    kinks: dict[int, tuple[float, float]]  # by line: the slopes on both sides


def gradient_check(trial: Trial, check: GradientCheck) -> list[Checked]:
    """Compare the gradient of the full training loss at a trial's start, parameter by parameter.

    In float64, by central differences of the loss at two steps. An entry agrees where one of them
    is within the tolerance of the larger slope and the rounding error of the quotient; and at a
    kink, where one-sided slopes differ, if it is one of them or between. The last row is the slope
    in a random direction, which every entry takes part in. Raises UserError where the loss is not
    finite at the start, and where the gradient is not the loss's on purpose.
    """
    if family_of(trial.problem).own_gradient(trial.problem):
        what = "the slopes of rounding pass straight through it: they are not the loss's on purpose"
        raise UserError("--quantize", what, "leave it out")
    if trial.problem.constant:
        what = f"its gradient takes {trial.problem.constant} for constant: it is not the loss's"
        raise UserError(name_of(trial.problem), what, "choose another problem")
    data = examples_of(trial)
    start = starting_point(trial.problem, data, trial.seed)
    layout = layout_of(start)
    gradient = _slopes(trial, layout)
    places = _places(trial, layout, check.entries)
    origin = np.concatenate([np.ravel(np.asarray(value, float)) for value in start.values()])
    direction = stream("gradcheck", trial.seed, "direction").normal(size=len(origin))
    direction /= np.linalg.norm(direction)
    gaps = np.append(STEP * np.maximum(1.0, np.abs(origin[places])), STEP)
    slopes = np.append(gradient[places], direction @ gradient)
    least = check.tolerance * (TINY * float(np.abs(gradient).max()) or 1.0)
    lines = _Lines(trial, layout, origin, places, direction, gaps)
    with np.errstate(all="ignore"):  # a loss a step away may be nan, or overflow
        judged = _judged(lines, slopes, check.tolerance, least)
    names = layout.names()
    entries = [*(names[place] for place in places), DIRECTION]
    ends = np.cumsum([np.asarray(value).size for value in start.values()])
    owners = np.append(np.searchsorted(ends, places, side="right"), len(ends))
    kinds = [(name, "x".join(map(str, shape))) for name, shape in layout.shapes.items()]
    return [
        _checked(kind, np.flatnonzero(owners == order), slopes, judged, entries)
        for order, kind in enumerate([*kinds, (DIRECTION, str(len(origin)))])
    ]


def _checked(
    kind: tuple[str, str],
    own: NDArray[np.int64],
    slopes: NDArray[np.float64],
    judged: _Judged,
    entries: Sequence[str],
) -> Checked:
    """Return what was found on a parameter's own lines; shown is the one that agrees least."""
    worst = own[np.argmax((judged.differences / judged.allowed)[own])]
    return Checked(
        *kind,
        len(own),
        float(slopes[worst]),
        float(judged.quotients[worst]),
        float(judged.differences[worst]),
        float(judged.allowed[worst]),
        bool(judged.agree[own].all()),
        tuple(Kink(entries[line], *judged.kinks[line]) for line in own if line in judged.kinks),
    )


def _judged(lines: _Lines, slopes: NDArray[np.float64], tolerance: float, least: float) -> _Judged:
    """Judge the slope on every line: at the step, at the narrower one, and for kinks.

    A difference of `least` is none.
    """
    every = np.arange(len(slopes))
    wide = lines.sides(every, 1)
    quotients, noise, kinks = wide.central.copy(), wide.noise + least, {}

    def off(which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some lines on which the two differ by more than is allowed, or by nan."""
        size = np.maximum(np.abs(quotients), np.abs(slopes))
        near = np.abs(quotients - slopes) <= tolerance * size + noise
        return which[~(near & np.isfinite(quotients))[which]]

    wrong = off(every)
    sharp = np.abs(wide.bend) > SHARP * np.maximum(np.abs(wide.left), np.abs(wide.right))
    doubtful = np.union1d(wrong, every[sharp & (np.abs(wide.bend) > wide.noise)])
    if len(doubtful):
        narrow = lines.sides(doubtful, NARROW)
        size = np.maximum(np.abs(wide.left), np.abs(wide.right))[doubtful]
        # The bend of a smooth loss is in proportion to the step.
        odd = np.abs(wide.bend[doubtful] - NARROW * narrow.bend)
        bent = odd > NARROW * narrow.noise + wide.noise[doubtful] + tolerance * size
        again = np.isin(doubtful, wrong)
        # Where both agree in any case, only a kink at the start itself is not curvature.
        bent &= again | (4 * np.abs(narrow.bend) > np.abs(wide.bend[doubtful]))
        kinks = {i: (float(wide.left[i]), float(wide.right[i])) for i in doubtful[bent].tolist()}
        # The error of a smooth loss's quotient falls with the step's square; twice, for safety.
        error = 2 * np.abs(narrow.central - wide.central[doubtful]) / (NARROW**2 - 1)
        quotients[wrong] = narrow.central[again]
        noise[wrong] = (narrow.noise + np.where(bent, 0.0, error))[again] + least
    wrong = off(wrong)
    if len(wrong):
        sides, far, bent = _one_sided(lines, wrong)
        within = np.clip(slopes[wrong], *np.sort([sides.left, sides.right], axis=0))
        quotients[wrong] = np.where(bent, within, quotients[wrong])
        noise[wrong] = np.where(bent, sides.noise + least, noise[wrong])
        proven = zip(wrong[bent], far.left[bent], far.right[bent], strict=True)
        kinks |= {int(i): (float(left), float(right)) for i, left, right in proven}
    size = np.maximum(np.abs(quotients), np.abs(slopes))
    gaps = np.where(quotients == slopes, 0.0, np.abs(quotients - slopes) / size)
    allowed = np.where(size > 0, tolerance + noise / size, tolerance)
    return _Judged(quotients, gaps, allowed, ~np.isin(every, off(wrong)), kinks)


def _one_sided(lines: _Lines, which: NDArray[np.int64]) -> tuple[_Sides, _Sides, NDArray[np.bool_]]:
    """Return the slopes on both sides, the quotients there, and whether the slopes differ.

    Each slope is Richardson's extrapolation of two steps, which cancels what the curvature of a
    smooth loss adds in proportion to the step.
    """
    near, far = (lines.sides(which, narrower) for narrower in (2 * NARROW, NARROW))
    noise = 2 * near.noise + far.noise
    sides = _Sides(2 * near.left - far.left, 2 * near.right - far.right, noise)
    return sides, far, np.abs(sides.bend) > noise


def _slopes(trial: Trial, layout: Layout) -> NDArray[np.float64]:
    """Return the gradient at the start, flat."""
    data = examples_of(trial)
    device = device_for("cpu", "float64", networks=needs_torch(trial.problem))
    with np.errstate(all="ignore"):
        program = program_for([trial], data, device, width=1)
        point = program.evaluate(
            program.start(
                [starting_point(trial.problem, data, seed) for seed in program.layout.seeds]
            )
        )
    loss = program.layout.gather(device.host(point.values["train_loss"]))[0]
    if not np.isfinite(loss):
        fix = "choose options with which it is a number"
        raise UserError("gdcli gradcheck", f"the loss is {loss} at the start", fix)
    slopes = program.by_trial(point.gradient)
    return np.concatenate([np.ravel(slopes[name][0]) for name in layout.shapes]).astype(float)


def _places(trial: Trial, layout: Layout, entries: int) -> NDArray[np.int64]:
    """Return which entries of the flat parameters are looked at: some of each of them."""
    rng = stream("gradcheck", trial.seed, "entries")
    chosen, first = [], 0
    for shape in layout.shapes.values():
        size = int(np.prod(shape))
        chosen.append(first + np.sort(rng.permutation(size)[:entries]))
        first += size
    return np.concatenate(chosen)


MOST_KINKS = 5  # that are named


def print_checked(
    found: Sequence[Checked], check: GradientCheck, form: str, console: Console
) -> None:
    """Print a row for each parameter: its entry on which both ways agree least."""
    rows: list[dict[str, Value]] = [
        {
            "parameter": one.name,
            "shape": one.shape,
            "checked": one.entries,
            "kinks": len(one.kinks),
            "backpropagation": one.slope,
            "differences": one.quotient,
            "relative difference": one.difference,
            "allowed": one.allowed,
            "agrees": "yes" if one.agrees else "no",
        }
        for one in found
    ]
    print_rows(rows, form, console, list(_said(found, check)))


def _said(found: Sequence[Checked], check: GradientCheck) -> Iterator[str]:
    yield "each row shows the entry on which the two agree least, at the start; the last row is the"
    yield "  slope in one random direction, which depends on every entry"
    yield f"allowed: {check.tolerance:g} of the larger slope, and the rounding error of differences"
    kinks = [kink for one in found for kink in one.kinks]
    for kink in kinks[:MOST_KINKS]:
        sides = distinct_labels([kink.left, kink.right])
        yield f"{kink.entry}: the loss has a kink within the step, as relu has: the difference"
        yield f"  quotient is {sides[kink.left]} on the left and {sides[kink.right]} on the right"
    if len(kinks) > MOST_KINKS:
        yield f"kinks that are not listed: {len(kinks) - MOST_KINKS}"
    if not all(one.agrees for one in found):
        yield "no: the two differ by more than is allowed at two steps, and no kink explains it:"
        yield "  the gradient is wrong, or the loss jumps or has no value nearby"
