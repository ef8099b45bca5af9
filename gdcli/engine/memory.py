"""How much memory a batch needs, and how much there is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from gdcli.datasets.contents import free, human
from gdcli.datasets.out_of_core import numbers_held, streamed
from gdcli.engine.device import CACHE
from gdcli.engine.examples import examples_of, load
from gdcli.engine.families import alone, needs_torch, pieces_for, precision
from gdcli.engine.lanczos import MOST
from gdcli.engine.lanes import by_seed
from gdcli.engine.pieces import BENT
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.width import NARROWEST
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Problem, StatefulNetwork

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)


def check_memory(batches: Iterable[TrialBatch], allowed: str | None, device: str = "cpu") -> None:
    """Raise UserError for the first batch of which not even one trial fits into what is allowed."""
    limit = allowance(allowed, device)
    for batch in batches:
        one = replace(batch, trials=batch.trials[:1])
        needed = batch_memory(one, examples_of(one.trials[0]), device)
        if needed > limit:
            what = f"a trial of {batch.cohort} needs {human(needed)}, more than {human(limit)}"
            raise UserError("--memory", what, _fix(one, needed, limit, device))


def _fix(one: TrialBatch, needed: int, limit: int, device: str) -> str:
    """Return what would help: more memory, and what of a trial's settings makes it fit."""
    enough = int(1.01 * needed)  # rounding takes half a percent at most
    ways = [f"allow --memory {human(enough)}"]
    if device == "cpu" and enough > (there := free()):
        ways = [f"allow --memory {human(enough)}, of which {human(there)} are free here"]
    data = examples_of(one.trials[0])
    for way, other in _others(one.trials[0], data.examples):
        with suppress(UserError):
            if batch_memory(replace(one, trials=(other,)), data, device) <= limit:
                ways.append(way)
    if _could_stream(one.trials[0].problem):
        ways.append("--stream the file")
    if len(ways) == 1:
        ways.append("make the problem or its examples fewer")
    return ", or ".join(ways)


def _others(trial: Trial, examples: int) -> Iterator[tuple[str, Trial]]:
    """Yield settings that take less, in words and as a trial: of each kind the nearest first."""
    training = trial.training
    steps = plan_of(trial, examples).steps
    yield "record less often", replace(trial, training=replace(training, record=str(steps)))
    if training.measure:
        yield "leave out --measure", replace(trial, training=replace(training, measure=None))
    if precision(trial) == "float64":
        yield "--dtype float32", replace(trial, training=replace(training, dtype="float32"))
    if trial.method == "gd" and examples > 1:
        size = min(32, examples)
        way = f"--method minibatch --batch-size {size}"
        yield way, replace(trial, method="minibatch", batch_size=size)
    elif (trial.batch_size or 1) > 1:
        size = max(1, (trial.batch_size or 1) // 8)
        yield f"--batch-size {size}", replace(trial, batch_size=size)


def stacks_of(batch: TrialBatch, data: Data, room: int, device: str = "cpu") -> list[TrialBatch]:
    """Return a batch in equal parts that each fit into so many bytes, or are a trial each.

    A trial's bits do not depend on those beside it, so that no other cut is asked for: the batch
    stays what is stored.
    """
    count = size = len(batch.trials)
    most = room
    if device == "cpu":
        one = batch_memory(replace(batch, trials=batch.trials[:1]), data, device)
        most = min(room, one + STACK)
    while size > 1:
        if batch_memory(replace(batch, trials=batch.trials[:size]), data, device) <= most:
            break
        size = -(-size // 2)
    if size == count:
        return [batch]
    firsts = range(0, count, size)
    return [replace(batch, trials=batch.trials[first : first + size]) for first in firsts]


def stack_memory(batch: TrialBatch, room: int, device: str = "cpu") -> int:
    """Return about how many bytes the stacks of a batch take, one after the other."""
    data = examples_of(batch.trials[0])
    return batch_memory(stacks_of(batch, data, room, device)[0], data, device)


def _could_stream(problem: Problem) -> bool:
    from gdcli.datasets.tabular import Streamable  # it brings readers along

    return isinstance(problem, Streamable) and problem.streams and not problem.stream


def allowance(allowed: str | None, device: str = "cpu") -> int:
    """Return the bytes that --memory allows, or else half of those that are free.

    Of a GPU it is three quarters of what it has, or what other processes leave of it.
    """
    if allowed is not None:
        return parse(allowed)
    if device == "cpu":
        return free() // 2
    import torch

    left, whole = torch.cuda.mem_get_info(device)
    return int(min(whole * 3 // 4, left + torch.cuda.memory_reserved(device)))


def batch_memory(batch: TrialBatch, data: Data, device: str = "cpu") -> int:
    """Return about how many bytes a batch takes: data, parameters, activations, records.

    Python, NumPy and PyTorch themselves take some more, up to 0.3 GB.
    """
    trial = batch.trials[0]
    plan = plan_of(trial, data.examples)
    size = 4 if precision(trial) == "float32" else 8
    seeds = len({t.seed for t in batch.trials})
    row = sum(array[:1].size for array in data.train.values())
    lanes = lanes_of(batch)
    held_weights = 10
    if trial.training.measure:  # the vectors of the search
        held_weights += MOST
    weights = lanes * held_weights * _parameters(trial.problem, trial.training.data_seed) * size
    orders = 0 if trial.method == "gd" else 16 * seeds * plan.examples
    columns = 3 + len(trial.curve_columns)
    # A recorded number is held as an array, as text of some 20 characters, and joined to a file.
    recorded = plan.recorded * (lanes * size + len(batch.trials) * 60) * columns
    if needs_torch(trial.problem):
        at_a_step = 0 if trial.method == "gd" else lanes * plan.batch_size * row
        held = _loaded(data, size) + _activations(batch, data, plan, device)
    else:
        apart = streamed(data) and batch.engine != "reference"  # all examples on its device
        at_a_step = 0 if apart or trial.method == "gd" else seeds * plan.batch_size * row
        active = lanes * (plan.batch_size if trial.method != "gd" else 1) * row * PREDICTED
        if batch.engine == "reference" or alone(trial):
            active = plan.examples * row * PREDICTED
        active *= BENT if trial.training.measure else 1
        held = (_held(data, apart=apart) + active) * size
    gathered = max(CACHE, at_a_step) * size
    return int(held + gathered + weights + orders + recorded)


PREDICTED = 4  # numbers for each of an example that a linear model predicts, and projects
SLACK = 1.6  # of activations: what lies free between those in use, and kernels' own buffers
STACK = 2**31  # bytes of a stack's trials on a CPU, beyond one's: more take no less time


def _loaded(data: Data, size: int) -> int:
    """Return the bytes of the data as they were loaded, and of their copy in a program."""
    arrays = [a for part in (data.train, data.test, data.constants) for a in part.values()]
    return sum(a.nbytes + a.size * (size if a.dtype.kind == "f" else 8) for a in arrays)


def _activations(batch: TrialBatch, data: Data, plan: Plan, device: str) -> int:
    """Return the bytes that all trials hold at a time while a step or a point is computed."""
    trial, lanes = batch.trials[0], lanes_of(batch)
    plain = batch.engine == "reference" or alone(trial)
    found = pieces_for(trial, data, eager=device == "cpu", plain=plain)
    counts = (len(next(iter(part.values()))) for part in (data.train, data.test) if part)
    point = found.at_a_point(max(counts, default=1))
    point *= BENT if trial.training.measure else 1
    step = found.at_a_step(plan.batch_size, full=trial.method == "gd")
    return int(SLACK * max(min(lanes, found.trials(held)) * held for held in (point, step)))


def _held(data: Data, *, apart: bool) -> int:
    """Return the numbers of the data that are in memory: as loaded, scaled, and in a program."""
    arrays = [a for part in (data.train, data.test, data.constants) for a in part.values()]
    return sum(numbers_held(a) if apart else 3 * a.size for a in arrays)


def lanes_of(batch: TrialBatch) -> int:
    """Return the trials that are computed, padding among them; wide products have little more."""
    trial = batch.trials[0]
    apart = alone(trial) or isinstance(trial.problem, StatefulNetwork)
    if batch.engine == "reference" or apart:
        return 1
    if needs_torch(trial.problem):
        return len(batch.trials) + len(batch.trials) % 2
    return math.prod(by_seed(batch.trials, NARROWEST).shape)


@lru_cache(maxsize=16)
def _parameters(problem: Problem, data_seed: int) -> int:
    """Return the number of parameters of one trial."""
    from gdcli.engine.initial import starting_point

    start = starting_point(problem, load(problem, data_seed), 0)
    return sum(value.size for value in start.values())


def parse(text: str) -> int:
    """Return the bytes of a size such as 4GB; raises UserError for another text."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise UserError("--memory", f"{show(text)} is no size", "give bytes, or 500MB, 4GB")
    return int(float(found[1]) * UNITS[found[2].lower()])
