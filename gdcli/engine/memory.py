"""How much memory a batch needs, and how much there is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.engine.examples import examples_of
from gdcli.engine.families import needs_torch, precision
from gdcli.engine.plan import plan_of
from gdcli.errors import UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.grid import Trial
    from gdcli.problem import Data

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def check_memory(batches: Iterable[TrialBatch], allowed: str | None) -> None:
    """Raise UserError for the first batch that needs more than is allowed."""
    limit = parse(allowed) if allowed is not None else free() // 2
    for batch in batches:
        needed = batch_memory(batch, examples_of(batch.trials[0]))
        if needed > limit:
            what = f"{len(batch.trials)} trials of {batch.cohort} need {human(needed)}"
            enough = human(1.01 * needed)  # rounding takes half a percent at most
            fix = f"allow --memory {enough}, or record or batch fewer examples at a time"
            raise UserError("--memory", f"{what}, more than {human(limit)}", fix)


def batch_memory(batch: TrialBatch, data: Data) -> int:
    """Return about how many bytes a batch takes: data, parameters, activations, records."""
    trial = batch.trials[0]
    plan = plan_of(trial, data.examples)
    size = 4 if precision(trial) == "float32" else 8
    lanes = -(-len(batch.trials) // 16) * 16
    arrays = [a for part in (data.train, data.test, data.constants) for a in part.values()]
    held = sum(array.size for array in arrays) * size
    row = sum(array[:1].size for array in data.train.values())
    # A chunk of examples goes through the network at a time; its activations, the columns of
    # convolutions among them, are some tens of times the input.
    seen = min(plan.batch_size if trial.method != "gd" else 512, 512)
    active = lanes * seen * row * (40 if needs_torch(trial.problem) else 4)
    weights = lanes * 6 * _parameters(trial, data)
    recorded = plan.recorded * len(batch.trials) * (3 + len(trial.problem.curve_columns)) * 24
    return int(held + (active + weights) * size + recorded)


def _parameters(trial: Trial, data: Data) -> int:
    """Return the number of parameters of one trial."""
    from gdcli.engine.initial import starting_point

    return sum(value.size for value in starting_point(trial.problem, data, 0).values())


def parse(text: str) -> int:
    """Return the bytes of a size such as 4GB; raises UserError for another text."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise UserError("--memory", f"{show(text)} is no size", "give bytes, or 500MB, 4GB")
    return int(float(found[1]) * UNITS[found[2].lower()])


def free() -> int:
    """Return the bytes that could be used without swapping."""
    import os

    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def human(size: float) -> str:
    """Return bytes in the largest unit that leaves a number of at least 1."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:  # which is rounded to 1e+03
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}TB"
