"""One trial, step by step: a batch, the gradient of its loss by autograd, the update, a record.

Nothing is stacked, fused or differentiated by hand. Starting point, order of examples and update
rule are those of any engine; how a trial is computed with them is all in this file.
"""

from __future__ import annotations

import math
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gdcli.catalog.catalog import name_of
from gdcli.engine.device import Torch
from gdcli.engine.families.family import (
    family_of,
    pieces_for,
    precision,
    starting_point,
)
from gdcli.engine.families.objective import (
    Objective,
    Tensors,
    tensors,
)
from gdcli.engine.layout import TrialLayout
from gdcli.engine.plan import Plan, Watched, plan_of, watched
from gdcli.engine.programs.program import Evaluation
from gdcli.engine.programs.vmap import FirstAxis
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING, BatchHistory, Measures
from gdcli.engine.reference.steps import OfTrial, Rates, steps_of
from gdcli.engine.sampling import Orders
from gdcli.engine.watcher import Trajectory
from gdcli.measure import CAUSES, MEASURED, RAW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gdcli.engine.initial import Start
    from gdcli.experiment.grid import Trial
    from gdcli.experiment.training import Training
    from gdcli.problem import Data, Params


class ReferenceCurve:
    """The recorded points of one trial."""

    def __init__(self, training: Training) -> None:
        """Begin without a point, running."""
        self.training = training
        self.steps: list[int] = []
        self.seen: list[int] = []  # examples whose gradients were computed, with repetitions
        self.columns: dict[str, list[float]] = {}
        self.ended = RUNNING

    def add(self, step: int, seen: int, measures: Tensors, params: Tensors) -> None:
        """Keep a point; it is the last one if the trial converges or diverges there."""
        self.steps.append(step)
        self.seen.append(seen)
        for name, value in measures.items():
            self.columns.setdefault(name, []).append(float(value))
        self.ended = self._ended(measures, params)

    def beyond(self, measures: Tensors, params: Tensors) -> bool:
        """Return whether a point is out of bounds: the trial diverges there."""
        loss = measures["train_loss"]
        limit = self.training.diverge_at * max(1.0, abs(self.columns["train_loss"][0]))
        finite = all(array.isfinite().all() for array in (loss, *params.values()))
        return bool(not finite or abs(loss) > limit)

    def _ended(self, measures: Tensors, params: Tensors) -> int:
        """Return how the trial ends at its newest point, RUNNING if it goes on."""
        training, loss, norm = self.training, measures["train_loss"], measures["grad_norm"]
        if self.beyond(measures, params):
            return DIVERGED
        # Compared as tensors: a float32 loss of 0.1 is at most 0.1.
        flat = training.tol is not None and norm <= training.tol
        low = training.target_loss is not None and loss <= training.target_loss
        return CONVERGED if flat or low else RUNNING

    def curves(self, dtype: str, plan: Plan) -> BatchHistory:
        """Return the history of a batch that has only this trial."""
        planned = self.seen == list(map(plan.examples_at, self.steps))
        seen = None if planned else np.array([self.seen]).T
        return BatchHistory(
            steps=self.steps,
            values={name: np.array([c], dtype).T for name, c in self.columns.items()},
            length=np.array([len(self.steps)]),
            ended=np.array([self.ended]),
            seen=seen,
        )


class OneTrial(FirstAxis):
    """The trial as a stack of one, for measures."""

    def __init__(self, objective: Objective[Any], seed: int, device: Torch) -> None:
        """Take what the trial minimises."""
        self.objective, self.problem, self.data = objective, objective.problem, objective.data
        only = np.zeros(1, np.int64)
        self.layout = TrialLayout((1,), only, (seed,), only, only)
        self.device: Torch = device

    def start(self, starts: list[Start]) -> Params:
        """Return the starting point of the only seed."""
        return _stacked(tensors(starts[0], self.device))

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the derivative of the gradient along the direction, by autograd."""
        vector = self.flatten(direction)
        product = torch.zeros_like(vector)
        for share, leaves, slopes in self.objective.curved(_only(params)):
            gradient = _vector(slopes)
            if gradient.requires_grad:  # else the loss is linear
                bent = torch.autograd.grad(gradient, leaves, vector, materialize_grads=True)
                product += share * _vector(bent)
        return self.unflatten(product, params)


def _vector(parts: tuple[Tensor, ...]) -> Tensor:
    """Return tensors as one vector, of the only trial: shape (1, size)."""
    return torch.cat([part.flatten() for part in parts])[None]


def _stacked(params: Tensors) -> Tensors:
    """Return parameters of one trial with an axis of trials."""
    return {name: param[None] for name, param in params.items()}


def _only(params: Tensors) -> Tensors:
    """Return the parameters of the only trial, without an axis of trials."""
    return {name: param[0] for name, param in params.items()}


class TrialWatcher:
    """Collects the values at the watched steps."""

    def __init__(self, watched: Watched, horizon: int) -> None:
        """Begin before the start."""
        self.watched, self.horizon, self.wanted = watched, horizon, frozenset(watched.steps)
        self.steps: list[int] = []
        self.values: dict[str, list[float]] = {}
        self.sound = 0  # the last step known to be in bounds
        self.crossed, self.cause = -1, ""

    def add(self, step: int, measures: Tensors, *, beyond: bool) -> None:
        """Keep a watched step, and note the first point that is out of bounds."""
        if beyond and self.crossed < 0:
            loss = float(measures["train_loss"])
            self.crossed = step
            self.cause = (
                "nan" if math.isnan(loss) else "growth" if math.isfinite(loss) else "overflow"
            )
        elif self.crossed < 0:
            self.sound = step
        if step in self.wanted:
            self.steps.append(step)
            for name in MEASURED:
                if name in measures:
                    self.values.setdefault(name, []).append(float(measures[name]))

    def trajectory(self, last: int) -> Trajectory:
        """Return what was watched, as a batch that has only this trial."""
        unknown = np.array([np.nan])
        return Trajectory(
            self.watched,
            self.horizon,
            np.array(self.steps),
            {name: np.array([values]).T for name, values in self.values.items()},
            np.array([last]),
            crossed=np.array([self.crossed]),
            within=np.array([min(self.sound, self.crossed)]),
            cause=np.array([CAUSES.index(self.cause)]),
            turn=unknown,
            curvature=unknown,
            dead=unknown,
        )


def train(
    trial: Trial,
    data: Data,
    device_name: str,
    advance: Callable[[int], None],
    watch: Callable[[Tensors, Tensors], None] = lambda *_: None,
) -> BatchHistory:
    """Train one trial on a resolved device.

    `advance` is called with the number of steps done, `watch` with parameters and buffers at every
    recorded point.
    """
    with torch.random.fork_rng(devices=[]):  # a problem may draw numbers of its own
        return _train(trial, data, device_name, advance, watch)


def _train(
    trial: Trial,
    data: Data,
    device_name: str,
    advance: Callable[[int], None],
    watch: Callable[[Tensors, Tensors], None],
) -> BatchHistory:
    device = Torch(precision(trial), name=device_name)
    plan = plan_of(trial, data.examples)
    objective = _objective(trial, data, device)
    params = tensors(starting_point(trial.problem, data, trial.seed), device)
    rates = Rates(trial.schedule, plan.steps)
    steps = steps_of(given := OfTrial(trial, objective, plan, rates), params)
    batches = _batches(trial, plan, objective)
    stack, kinds = OneTrial(objective, trial.seed, device), trial.training.measures
    measures = Measures(kinds, stack, _stacked(params)) if kinds else None
    curve = ReferenceCurve(trial.training)
    watcher = TrialWatcher(watched(plan, stochastic=trial.method != "gd"), plan.steps)

    def record(step: int) -> None:
        objective.set_step(step)
        with steps.shown(params, step) as point:
            watch(point, objective.buffers)
            values = _measured(objective, measures, point)
        if steps.records_another_point:
            values[RAW.name] = objective.evaluate(params)[0]["train_loss"]
        rates.observe(values)
        curve.add(step, steps.seen, values, params)
        watcher.add(step, values, beyond=curve.ended == DIVERGED)

    record(0)
    for here, there in pairwise(plan.points()):
        if curve.ended != RUNNING:
            break
        for step in range(here, there):
            objective.set_step(step)
            if step > here and step in watcher.wanted:
                with steps.shown(params, step) as point:
                    values, _ = objective.evaluate(point)
                watcher.add(step, values, beyond=curve.beyond(values, params))
            given.chosen, batch = next(batches)
            params = steps.take(params, batch, step)
        record(there)
        advance(there - here)
    trajectory = watcher.trajectory(curve.steps[-1])
    return curve.curves(device.dtype, plan)._replace(trajectory=trajectory)


def _objective(trial: Trial, data: Data, device: Torch) -> Objective[Any]:
    """Return what a trial minimises, computed some examples at a time."""
    family = family_of(trial.problem)
    from_step = family.quantize_from_step(trial, data)
    objective = family.objective(trial.problem, data, device, from_step)
    objective.pieces = pieces_for(trial, data, plain=True)
    return objective


def _measured(objective: Objective[Any], measures: Measures | None, point: Tensors) -> Tensors:
    """Return what is recorded at a point, by column."""
    values, gradient = objective.evaluate(point)
    if measures is None:
        return values
    running = values["train_loss"].isfinite().reshape(1)
    found = Evaluation(_stacked(values), _stacked(gradient), running)
    return _only(measures.added(_stacked(point), found).values)


def _batches(
    trial: Trial, plan: Plan, objective: Objective[Any]
) -> Iterator[tuple[Tensor | None, Tensors]]:
    """Yield indices and batch of each step: all examples, or the next in the order of the seed."""
    if trial.method == "gd":
        yield from repeat((None, objective.train))
    orders = Orders(name_of(trial.problem), (trial.seed,), plan, trial.training.order)
    for ((chosen,),) in orders.blocks(0, plan.steps, 1):
        indices = torch.from_numpy(chosen)
        yield indices, objective.batch(indices)
