"""Backpropagation against finite differences, for any problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdcli.discovery import name_of
from gdcli.engine.device import device_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families import needs_torch, program_for
from gdcli.engine.initial import starting_point
from gdcli.engine.streams import stream
from gdcli.errors import UserError
from gdcli.problem import Network
from gdcli.studies.flat import layout_of
from gdcli.studies.surface import losses_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.grid import Trial
    from gdcli.studies.flat import Layout
    from gdcli.studies.options import GradientCheck

STEP = float(np.cbrt(np.finfo(np.float64).eps))  # of central differences: their errors balance
NOISE = 1e-6  # of the gradient's length: a slope below it is compared with that


@dataclass(frozen=True)
class Checked:
    """What was found of one parameter."""

    name: str
    shape: tuple[int, ...]
    entries: int  # that were checked
    slope: float  # by backpropagation, where the two disagree most
    quotient: float  # by differences, there
    difference: float  # relative


def gradient_check(trial: Trial, check: GradientCheck) -> list[Checked]:
    """Compare the gradient of the full training loss at a trial's start, parameter by parameter.

    In float64, by central differences of the loss, which are off by the third derivative and by
    rounding: some 1e-10 where the loss is smooth, and anything at a kink. Differences are relative
    to the larger of both slopes, and to a millionth of the gradient's length where they are
    smaller. Raises UserError where the loss is not finite at the start, and where the gradient is
    another one on purpose.
    """
    if isinstance(trial.problem, Network) and trial.problem.quantize == "qat":
        what = "the slopes of rounding pass straight through it: they are not the loss's on purpose"
        raise UserError("--quantize", what, "leave it out")
    if trial.problem.constant:
        what = f"its gradient takes {trial.problem.constant} for constant: it is not the loss's"
        raise UserError(name_of(trial.problem), what, "choose another problem")
    data = examples_of(trial)
    start = starting_point(trial.problem, data, trial.seed)
    layout = layout_of(start)
    slopes = _slopes(trial, layout)
    places = _places(trial, layout, check.entries)
    origin = np.concatenate([np.ravel(np.asarray(value, float)) for value in start.values()])
    gaps = STEP * np.maximum(1.0, np.abs(origin[places]))
    quotients = _quotients(trial, layout, origin, places, gaps)
    least = NOISE * float(np.linalg.norm(slopes)) or 1.0
    size = np.maximum(np.maximum(np.abs(quotients), np.abs(slopes[places])), least)
    differences = np.abs(quotients - slopes[places]) / size
    ends = np.cumsum([np.asarray(value).size for value in start.values()])
    owners = np.searchsorted(ends, places, side="right")
    found = []
    for order, (name, shape) in enumerate(layout.shapes.items()):
        (own,) = np.nonzero(owners == order)
        worst = own[np.argmax(differences[own])]
        place, gap = places[worst], float(differences[worst])
        slope = float(slopes[place])
        found.append(Checked(name, shape, len(own), slope, float(quotients[worst]), gap))
    return found


def _slopes(trial: Trial, layout: Layout) -> NDArray[np.float64]:
    """Return the gradient at the start, flat."""
    data = examples_of(trial)
    device = device_for("cpu", "float64", networks=needs_torch(trial.problem))
    with np.errstate(all="ignore"):
        program = program_for([trial], data, device, width=1)
        point = program.evaluate(
            program.start(
                [starting_point(trial.problem, data, seed) for seed in program.lanes.seeds]
            )
        )
    loss = program.lanes.gather(device.host(point.values["train_loss"]))[0]
    if not np.isfinite(loss):
        fix = "choose options with which it is a number"
        raise UserError("gdcli gradcheck", f"the loss is {loss} at the start", fix)
    slopes = program.unstacked(point.gradient)
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


def _quotients(
    trial: Trial,
    layout: Layout,
    origin: NDArray[np.float64],
    places: NDArray[np.int64],
    gaps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the difference quotients of the loss at the places."""
    rows = np.arange(len(places))
    ends = []
    for side in (1, -1):
        points = np.repeat(origin[None], len(places), axis=0)
        points[rows, places] += side * gaps
        ends.append(np.concatenate([*losses_at(points, layout, trial, "cpu")]))
    quotients: NDArray[np.float64] = (ends[0] - ends[1]) / (2 * gaps)
    return quotients
