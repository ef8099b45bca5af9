"""What a grid would cost: steps, seconds, memory and disk, before anything runs or is written."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from gdcli.catalog.composed import Share
from gdcli.datasets.contents import free, human
from gdcli.datasets.out_of_core import numbers_held, some_of, streamed
from gdcli.datasets.tabular import Streamable
from gdcli.engine.batch import BatchHooks, TrialBatch, batches_of, train_batch
from gdcli.engine.device import CACHE
from gdcli.engine.examples import examples_of, load
from gdcli.engine.families.family import (
    alone,
    kinds_of,
    needs_torch,
    pieces_for,
    precision,
    stacked_trials,
    starting_point,
)
from gdcli.engine.layout import BENT, ON_A_GPU
from gdcli.engine.plan import Plan, plan_of
from gdcli.errors import UserError
from gdcli.experiment.grid import Cohort, Trial
from gdcli.fields import show
from gdcli.method import Kind, Method

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gdcli.problem import Data, Problem

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)


def check_memory(batches: Iterable[TrialBatch], allowed: str | None, device: str = "cpu") -> None:
    """Raise UserError for the first batch whose single trials need more memory than allowed."""
    limit = allowance(allowed, device)
    for batch in batches:
        one = replace(batch, trials=batch.trials[:1])
        needed = batch_memory(one, examples_of(one.trials[0]), device)
        if needed > limit:
            what = f"a trial of {batch.cohort} needs {human(needed)}, more than {human(limit)}"
            raise UserError("--memory", what, _fix(one, needed, limit, device))


def _fix(one: TrialBatch, needed: int, limit: int, device: str) -> str:
    """Return what would help: more memory, or settings of the trial that take less."""
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
        ways.append("give the problem fewer parameters, or fewer examples")
    return ", or ".join(ways)


def _others(trial: Trial, examples: int) -> Iterator[tuple[str, Trial]]:
    """Yield settings that take less memory, in words and as a trial, the nearest first."""
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
    """Return a batch in equal parts that each fit into `room` bytes, or are a single trial.

    A trial's bits do not depend on the trials beside it, so the parts may have any size; the batch
    stays the unit that is stored.
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
    return isinstance(problem, Streamable) and problem.streams and not problem.stream


def allowance(allowed: str | None, device: str = "cpu") -> int:
    """Return the bytes that --memory allows; by default half of the free memory.

    Of a GPU it is three quarters of its memory, or what other processes leave free.
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
    stacked = stacked_trials(batch.trials, batch.engine)
    measures = trial.training.measures
    held_weights = 10 + sum(measure.vectors for measure in measures)
    weights = stacked * held_weights * _parameters(trial.problem, trial.training.data_seed) * size
    weights += stacked * KEPT * _state(trial, data, plan.steps) * size
    orders = 0 if trial.method == "gd" else 16 * seeds * plan.examples
    columns = 3 + len(trial.curve_columns)
    # A recorded number is held as an array, as text of some 20 characters, and joined to a file.
    recorded = plan.recorded * (stacked * size + len(batch.trials) * 60) * columns
    if needs_torch(trial.problem):
        at_a_step = 0 if trial.method == "gd" else stacked * plan.batch_size * row
        held = _loaded(data, size) + _activations(batch, data, plan, device)
    else:
        apart = streamed(data) and batch.engine != "reference"  # all examples on its device
        at_a_step = 0 if apart or trial.method == "gd" else seeds * plan.batch_size * row
        active = stacked * (plan.batch_size if trial.method != "gd" else 1) * row * PREDICTED
        if batch.engine == "reference" or alone(trial):
            active = plan.examples * row * PREDICTED
        active *= BENT if any(measure.second_order for measure in measures) else 1
        held = (_held(data, apart=apart) + active) * size
    gathered = max(CACHE, at_a_step) * size
    return int(held + gathered + weights + orders + recorded)


KEPT = 3  # copies of a method's state: before and after a step, and one to search a crossing from
PREDICTED = 4  # numbers for each of an example that a linear model predicts, and projects
SLACK = 1.6  # times the activations: gaps between them, and the kernels' own buffers
STACK = 2**31  # bytes of a CPU's stack beyond one trial: larger stacks are no faster


def _loaded(data: Data, size: int) -> int:
    """Return the bytes of the data as loaded, and of their copy in a program."""
    arrays = [a for part in (data.train, data.test, data.constants) for a in part.values()]
    return sum(a.nbytes + a.size * (size if a.dtype.kind == "f" else 8) for a in arrays)


def _activations(batch: TrialBatch, data: Data, plan: Plan, device: str) -> int:
    """Return the bytes that all trials hold at a time in a step or at a recorded point."""
    trial, stacked = batch.trials[0], stacked_trials(batch.trials, batch.engine)
    plain = batch.engine == "reference" or alone(trial)
    found = pieces_for(trial, data, plain=plain)
    if device != "cpu":
        found = found._replace(room=ON_A_GPU)
    counts = (len(next(iter(part.values()))) for part in (data.train, data.test) if part)
    point = found.at_a_point(max(counts, default=1))
    point *= BENT if any(m.second_order for m in trial.training.measures) else 1
    step = found.at_a_step(plan.batch_size, full=trial.method == "gd")
    return int(SLACK * max(min(stacked, found.trials(held)) * held for held in (point, step)))


def _held(data: Data, *, apart: bool) -> int:
    """Return how many numbers of the data are in memory: as loaded, scaled, and in a program."""
    arrays = [a for part in (data.train, data.test, data.constants) for a in part.values()]
    return sum(numbers_held(a) if apart else 3 * a.size for a in arrays)


@dataclass(frozen=True)
class Facts:
    """What a method may know of its trial, where there is no trial yet."""

    kind: Mapping[str, Kind]
    horizon: int
    examples: int
    predictions: int
    l2: float = 0.0
    epoch: int = 1
    full_batch: bool = True  # where more is kept


def _state(trial: Trial, data: Data, horizon: int) -> int:
    """Return how many numbers a method keeps for a trial besides the parameters.

    The state is made on no device: it has shapes, and takes no memory.
    """
    method = trial.optimizer
    if not isinstance(method, Method):
        return 0  # of the few of an optimizer the weights tell
    import torch
    from torch.utils._pytree import tree_leaves

    start = starting_point(trial.problem, load(trial.problem, trial.training.data_seed), 0)
    params = {name: torch.empty(value.shape, device="meta") for name, value in start.items()}
    outputs = data.train["y"].shape[1:] if method.linear_models else ()
    kinds = kinds_of(trial.problem, trial.training.data_seed)
    known = Facts(kinds, horizon, data.examples, outputs[0] if outputs else 0)
    kept = tree_leaves(method.init(params, known))
    return sum(array.numel() for array in kept if isinstance(array, torch.Tensor))


@lru_cache(maxsize=16)
def _parameters(problem: Problem, data_seed: int) -> int:
    """Return the number of parameters of one trial."""
    start = starting_point(problem, load(problem, data_seed), 0)
    return sum(value.size for value in start.values())


def parse(text: str) -> int:
    """Return the bytes of a size such as 4GB; raises UserError for another text."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise UserError("--memory", f"{show(text)} is not a size", "give bytes, or 500MB, 4GB")
    return int(float(found[1]) * UNITS[found[2].lower()])


SAMPLE = 32  # steps that are timed
LOOK = 1.0  # seconds that an estimate may take, or a little more
LOOK_AT = 2**24  # bytes of a trial's activations in a timing
FEWEST = 2  # examples of the first timing: batch norm needs more than one
GROWTH = 4  # times as many examples, where the timing was quick
ROW = 130  # bytes of a line of curves.csv


class CohortEstimate(NamedTuple):
    """One cohort: trials that share a stacked program."""

    name: str
    trials: int
    steps: int  # a trial
    recorded: int  # points a trial
    seconds: float
    memory: int  # bytes, of one batch at a time
    disk: int  # bytes


@dataclass(frozen=True)
class Estimate:
    """All cohorts of a grid, and its trials."""

    cohorts: tuple[CohortEstimate, ...]
    trials: tuple[Trial, ...]
    shares: Mapping[str, list[Share]] = field(default_factory=dict)  # by the rule's name

    @cached_property
    def seconds(self) -> float:
        """Training time on one core."""
        return sum(cohort.seconds for cohort in self.cohorts)

    @cached_property
    def memory(self) -> int:
        """Bytes that the largest batch needs."""
        return max(cohort.memory for cohort in self.cohorts)

    @cached_property
    def disk(self) -> int:
        """Bytes of results."""
        return sum(cohort.disk for cohort in self.cohorts)


def estimate(
    cohorts: tuple[Cohort, ...], device: str, engine: str = "auto", memory: str | None = None
) -> Estimate:
    """Return what the cohorts would cost on a resolved device, by timing a few steps of each.

    After LOOK seconds the remaining cohorts are not timed: they are assumed to be like the others.
    """
    begun, room = time.perf_counter(), allowance(memory, device)
    times: list[Times] = []
    parts: list[CohortEstimate] = []
    for cohort in cohorts:
        batches = batches_of((cohort,), engine)
        if not times or time.perf_counter() - begun < LOOK:
            times.append(_timed(batches[0], device, LOOK / len(cohorts)))
        found = _mean(times) if len(times) < len(parts) + 1 else times[-1]
        parts.append(_cohort(cohort, batches, found, room, device))
    return Estimate(tuple(parts), tuple(trial for cohort in cohorts for trial in cohort.trials))


def quick_estimate(batches: Sequence[TrialBatch], device: str, enough: float) -> float:
    """Return about how many seconds batches would take on one core.

    It stops once it has found `enough` seconds, or after LOOK seconds.
    """
    cohorts: dict[str, list[TrialBatch]] = {}
    for batch in batches:
        cohorts.setdefault(batch.cohort, []).append(batch)
    begun, seconds, seen = time.perf_counter(), 0.0, 0
    # Those with the most steps first: they are likely to be enough.
    for batch, *others in sorted(cohorts.values(), key=_steps, reverse=True):
        seen += 1 + len(others)
        seconds += (1 + len(others)) * _quickly(batch, device)
        if seconds >= enough or time.perf_counter() - begun > LOOK:
            break
    return seconds * len(batches) / seen if seen else 0.0


def _steps(batches: Sequence[TrialBatch]) -> int:
    """Return the steps of all batches of a cohort."""
    trial = batches[0].trials[0]
    return len(batches) * plan_of(trial, examples_of(trial).examples).steps


def _quickly(batch: TrialBatch, device: str) -> float:
    """Return about how many seconds a batch takes, by timing some of its steps."""
    plan = plan_of(batch.trials[0], examples_of(batch.trials[0]).examples)
    try:
        found = _timed(batch, device, LOOK / 4)
    except Exception:  # noqa: BLE001 -- some trial's own: the run will tell
        return 0.0
    return found.start + plan.steps * found.step + plan.recorded * found.point


def _cohort(
    cohort: Cohort, batches: Sequence[TrialBatch], times: Times, room: int, device: str
) -> CohortEstimate:
    trial, count = cohort.trials[0], len(cohort.trials)
    plan = plan_of(trial, examples_of(trial).examples)
    each = plan.steps * times.step + plan.recorded * times.point
    return CohortEstimate(
        name=cohort.name,
        trials=count,
        steps=plan.steps,
        recorded=plan.recorded,
        seconds=len(batches) * each,
        memory=stack_memory(batches[0], room, device),
        disk=count * plan.recorded * ROW,
    )


class Times(NamedTuple):
    """Seconds that a batch takes."""

    start: float
    step: float
    point: float


def _mean(times: Sequence[Times]) -> Times:
    return Times(*(sum(column) / len(times) for column in zip(*times, strict=True)))


def _timed(batch: TrialBatch, device: str, budget: float) -> Times:
    """Return the seconds of a batch, from short runs of the examples that are computed at a time.

    The runs take about `budget` seconds, or as long as the shortest possible run.
    """
    data, examples = examples_of(batch.trials[0]), FEWEST
    sample = _sample_of(batch, data, examples)
    one = _seconds(sample, 1, 1, device)  # warms up
    while one < budget:
        sample = _sample_of(batch, data, examples)
        one = _seconds(sample, 1, 1, device)
        if sample.whole or one > budget / 2:  # making a program takes some of it
            break
        examples *= GROWTH
    if one > budget / 4:  # a step and two points: no more is known of them
        return Times(0.0, sample.steps * one / 3, sample.points * one / 3)
    one = min(one, _seconds(sample, 1, 1, device))
    few = max(2, min(SAMPLE, int(budget / 4 / one)))
    many, dense = (_seconds(sample, few, record, device) for record in (few, 1))
    step, point = (max(more - less, 0.0) / (few - 1) for more, less in ((many, one), (dense, many)))
    return Times(one, sample.steps * step, sample.points * point)


class Sample(NamedTuple):
    """Some trials of a batch on some of its examples, and how their times relate to the whole."""

    batch: TrialBatch
    data: Data
    steps: float  # a step of the whole takes as long as so many of its own
    points: float
    whole: bool  # it is all that is computed at a time


def _sample_of(batch: TrialBatch, data: Data, examples: int) -> Sample:
    """Return at most `examples` examples; programs without torch compute all at once."""
    trial = batch.trials[0]
    if not needs_torch(trial.problem) or not data.train:
        return Sample(batch, data, 1.0, 1.0, whole=True)
    plan = plan_of(trial, data.examples)
    found = pieces_for(trial, data, plain=batch.engine == "reference" or alone(trial))
    most = min(data.examples, found.point or data.examples, LOOK_AT // max(found.each))
    few = min(max(most, FEWEST), examples, data.examples)
    size = min(plan.batch_size, few)
    trials = min(len(batch.trials), max(2, LOOK_AT // (few * max(found.each))))
    own = tuple(
        trial if trial.method == "gd" else replace(trial, batch_size=trial.batch_size and size)
        for trial in batch.trials[:trials]
    )
    others, tested = len(batch.trials) / trials, min(few, _tested(data))
    return Sample(
        replace(batch, trials=own),
        some_of(data, 0, few),
        others * plan.batch_size / (few if trial.method == "gd" else size),
        others * (data.examples + _tested(data)) / (few + tested),
        whole=few >= most,
    )


def _tested(data: Data) -> int:
    return len(next(iter(data.test.values()))) if data.test else 0


def _shortened(batch: TrialBatch, steps: int, record: int) -> TrialBatch:
    trials = (
        replace(t, training=replace(t.training, epochs=None, steps=steps, record=str(record)))
        for t in batch.trials
    )
    return replace(batch, trials=tuple(trials))


def _seconds(sample: Sample, steps: int, record: int, device: str) -> float:
    begun = time.perf_counter()
    batch = _shortened(sample.batch, steps, record)
    # On some of the examples a trial may end early, and analysing its end takes seconds.
    train_batch(batch, sample.data, device, lambda _: None, BatchHooks(watches=False))
    return time.perf_counter() - begun


# Upper bounds in seconds: of a step, of a recorded point with its row, and of each number read.
STEP, POINT, NUMBER = 4e-6, 8e-5, 1e-8


def numpy_seconds(batches: Sequence[TrialBatch]) -> float:
    """Return an upper bound of the seconds that NumPy takes for batches, without trying any."""
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
