"""The training loss at many points at once: each is a trial of one stacked program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.batch import TrialBatch
from gdcli.engine.device import device_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families import batch_limit, needs_torch, precision, program_for
from gdcli.engine.memory import allowance, stacks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.grid import Trial
    from gdcli.studies.flat import Layout
    from gdcli.studies.training import Carried


def losses_at(  # noqa: PLR0913, PLR0917 -- what is asked, and where it is computed
    points: NDArray[np.float64],
    layout: Layout,
    trial: Trial,
    device: str,
    carried: Carried | None = None,
    memory: str | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield the losses of a trial's problem at points, (count, parameters), some at a time.

    `device` is a resolved name; no more are computed at a time than fit into `memory`. A network's
    layers carry along what is given, or else what they start with, at every point.
    """
    whole = replace(trial, method="gd", batch_size=None)
    # A seed is what may have a starting point of its own.
    most = tuple(replace(trial, seed=seed) for seed in range(min(batch_limit(whole), len(points))))
    stack = TrialBatch(0, "", most)
    stacks = stacks_of(stack, examples_of(trial), allowance(memory, device), device)
    size = len(stacks[0].trials)
    tile = [replace(whole, seed=seed) for seed in range(size)]
    place = device_for(device, precision(trial), networks=needs_torch(trial.problem))
    program = program_for(tile, examples_of(trial), place, width=1)
    if carried:
        program.carry(carried)
    program.reach(program.turn)  # as it is trained in the end: a network may be rounded
    for first in range(0, len(points), size):
        part = points[first : first + size]
        starts = [layout.split(point) for point in part]
        starts += starts[:1] * (size - len(part))  # every stack has the same shapes
        with np.errstate(all="ignore"):  # a loss may overflow: then it is inf, or nan
            values = place.host(program.training_loss(program.start(starts)))
        yield program.lanes.gather(values)[: len(part)].astype(np.float64)
