"""What a run would do and take, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.engine.device import resolve
from gdcli.engine.estimate import Estimate, estimate
from gdcli.engine.families import needs_torch
from gdcli.runs.execution import check
from gdcli.runs.streaming import fitted

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.options import RunOptions


def plan_run(experiment: Experiment, options: RunOptions) -> Estimate:
    """Return the estimate of an experiment on the device that the options name.

    Raises the UserError that running it would raise before anything is written.
    """
    check(experiment, options)
    experiment, _ = fitted(experiment, options.memory)
    networks = needs_torch(experiment.grid.trials[0].problem)
    device = resolve(options.device, networks=networks)
    return estimate(experiment.grid.cohorts, device, options.engine, options.memory)
