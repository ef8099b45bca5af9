"""How much memory a batch needs, and how much there is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gdcli.datasets.room import free, human
from gdcli.engine.device import CACHE
from gdcli.engine.examples import examples_of
from gdcli.engine.families import alone, needs_torch, precision
from gdcli.engine.lanczos import MOST
from gdcli.engine.lanes import by_seed
from gdcli.engine.parts import numbers_held, streamed
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.program import CHUNK
from gdcli.engine.width import NARROWEST
from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.problem import Network, Problem, StatefulNetwork

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.grid import Trial
    from gdcli.problem import Data

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)


def check_memory(batches: Iterable[TrialBatch], allowed: str | None) -> None:
    """Raise UserError for the first batch that needs more than is allowed."""
    limit = allowance(allowed)
    for batch in batches:
        needed = batch_memory(batch, examples_of(batch.trials[0]))
        if needed > limit:
            those = f"trial of {batch.cohort} needs", f"trials of {batch.cohort} need"
            what = f"{counted(len(batch.trials), *those)} {human(needed)}"
            enough = human(1.01 * needed)  # rounding takes half a percent at most
            fix = f"allow --memory {enough}, or record or batch fewer examples at a time"
            if _could_stream(batch.trials[0].problem):
                fix += ", or --stream the file"
            raise UserError("--memory", f"{what}, more than {human(limit)}", fix)


def _could_stream(problem: Problem) -> bool:
    from gdcli.datasets.streamable import Streamable  # it brings readers along

    return isinstance(problem, Streamable) and problem.streams and not problem.stream


def allowance(allowed: str | None) -> int:
    """Return the bytes that --memory allows, or else half of those that are free."""
    return parse(allowed) if allowed is not None else free() // 2


def batch_memory(batch: TrialBatch, data: Data) -> int:
    """Return about how many bytes a batch takes: data, parameters, activations, records."""
    trial = batch.trials[0]
    plan = plan_of(trial, data.examples)
    size = 4 if precision(trial) == "float32" else 8
    seeds = len({t.seed for t in batch.trials})
    row = sum(array[:1].size for array in data.train.values())
    apart = streamed(data) and batch.engine != "reference"  # which has all examples on its device
    at_a_step = 0 if apart and trial.method == "gd" else seeds * plan.batch_size * row
    gathered = max(CACHE, at_a_step)
    orders = 0 if trial.method == "gd" else 16 * seeds * plan.examples
    lanes, at_once = lanes_of(batch), _examples_at_once(batch, plan)
    active = lanes * at_once * row * ACTIVATIONS[needs_torch(trial.problem)]
    held_weights = 10
    if trial.training.measure:  # a gradient of the gradient, and the vectors of the search
        active, held_weights = 3 * active, held_weights + MOST
    weights = lanes * held_weights * _parameters(trial, data)
    columns = 3 + len(trial.curve_columns)
    # A recorded number is held as an array, as text of some 20 characters, and joined to a file.
    recorded = plan.recorded * (lanes * size + len(batch.trials) * 60) * columns
    numbers = _held(data, apart=apart) + gathered + active + weights
    return int(numbers * size + orders + recorded)


def _held(data: Data, *, apart: bool) -> int:
    """Return the numbers of the data that are in memory: as loaded, scaled, and in a program."""
    arrays = [a for part in (data.train, data.test, data.constants) for a in part.values()]
    return sum(numbers_held(a) if apart else 3 * a.size for a in arrays)


# Numbers held for each number of an example that a trial sees: with the columns of convolutions
# a network's activations are some tens of times its input; a linear model predicts and projects.
ACTIVATIONS = {True: 40, False: 4}


def lanes_of(batch: TrialBatch) -> int:
    """Return the trials that are computed, padding among them; wide products have little more."""
    trial = batch.trials[0]
    apart = alone(trial) or isinstance(trial.problem, StatefulNetwork)
    if batch.engine == "reference" or apart:
        return 1
    if needs_torch(trial.problem):
        return len(batch.trials) + 1
    return math.prod(by_seed(batch.trials, NARROWEST).shape)


def _examples_at_once(batch: TrialBatch, plan: Plan) -> int:
    """Return the examples whose activations a trial holds: a batch, a chunk of all, or all."""
    trial, problem = batch.trials[0], batch.trials[0].problem
    if isinstance(problem, StatefulNetwork):
        return max(plan.batch_size, min(plan.examples, problem.at_once))
    if batch.engine == "reference" or alone(trial):
        return plan.examples
    if isinstance(problem, Network):
        return min(plan.examples, max(CHUNK, 0 if trial.method == "gd" else plan.batch_size))
    if needs_torch(problem):
        return plan.examples  # vmap sees them all at every recorded point
    return plan.batch_size if trial.method != "gd" else 1


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
