"""Whether an experiment's file is read whole or in parts: its size and the memory decide.

Never the grid: a trial has the same bits in every grid that is run with the same memory. What was
decided is part of the experiment (`--stream`), so that workers, `verify` and whoever runs the
folder's experiment.toml compute the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gdcli.datasets.contents import human
from gdcli.engine.memory import allowance
from gdcli.fields import show
from gdcli.problem import LinearModel

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment


def fitted(experiment: Experiment, memory: str | None) -> tuple[Experiment, str]:
    """Return the experiment as it fits into the memory, and what there is to say about it.

    A file is read in parts if reading it whole would take more than is allowed, unless --stream
    or --no-stream says what to do.
    """
    problems = {cohort.trials[0].problem for cohort in experiment.grid.cohorts}
    if not any(isinstance(problem, LinearModel) for problem in problems):
        return experiment, ""
    from gdcli.datasets.tabular import Streamable  # it brings readers along

    files = [p for p in problems if isinstance(p, Streamable) and p.stream is None and p.streams]
    needed, file = max(((p.whole(), str(p.data)) for p in files), default=(0, ""))
    if not needed or needed <= (allowed := allowance(memory)):
        return experiment, ""
    options = {**experiment.grid.options, "stream": True}
    what = f"{show(file)} takes {human(needed)} in memory, more than {human(allowed)}"
    csv = "" if file.lower().endswith(".npy") else "; it becomes a temporary .npy file first"
    grid = replace(experiment.grid, options=options)
    return replace(experiment, grid=grid), f"{what}: it is read in parts (--stream){csv}"
