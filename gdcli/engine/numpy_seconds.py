"""How long NumPy takes for batches at most, which is known without trying any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch

# Seconds, rather too many: of a trial's step, of its recorded point with the row that is written,
# and of each number that they see.
STEP, POINT, NUMBER = 4e-6, 8e-5, 1e-8


def numpy_seconds(batches: Sequence[TrialBatch]) -> float:
    """Return more seconds than NumPy takes for the steps of batches."""
    seconds = 0.0
    for batch in batches:
        data = examples_of(batch.trials[0])
        plan = plan_of(batch.trials[0], data.examples)
        seen = sum(array[:1].size for array in data.train.values()) * plan.batch_size
        held = sum(a.size for part in (data.train, data.test) for a in part.values())
        constant = sum(array.size for array in data.constants.values())
        step = STEP + NUMBER * (seen + constant)
        point = POINT + NUMBER * (held + constant)
        seconds += len(batch.trials) * (plan.steps * step + plan.recorded * point)
    return seconds
