"""One trial, step by step: a batch, the gradient of its loss by autograd, the update, a record.

Nothing is stacked, fused or differentiated by hand. Starting point, order of examples and update
rule are those of any engine; how a trial is computed with them is all in this file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.column import MEASURED
from gdcli.engine.device import Torch
from gdcli.engine.families.find import family_of, pieces_for, precision
from gdcli.engine.families.objective import (
    Objective,
    Slopes,
    Tensors,
    norm,
    tensors,
)
from gdcli.engine.layout import TrialLayout
from gdcli.engine.plan import CAUSES, Plan, Watched, plan_of, watched
from gdcli.engine.programs.first_axis import FirstAxis
from gdcli.engine.programs.program import Evaluation
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING, BatchHistory, Measures
from gdcli.engine.sampling import Orders
from gdcli.engine.watcher import Trajectory
from gdcli.experiment.scheduled import BATCH_SIZE
from gdcli.schedule import FeedbackSchedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gdcli.engine.initial import Start
    from gdcli.experiment.grid import Training, Trial
    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Data, Params
    from gdcli.schedule import Schedule


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
        return BatchHistory(
            steps=self.steps,
            values={name: np.array([c], dtype).T for name, c in self.columns.items()},
            length=np.array([len(self.steps)]),
            ended=np.array([self.ended]),
            seen=None if planned else self.seen,
        )


Mover: TypeAlias = Callable[[Tensors, Callable[[Tensors], Slopes], int], Tensors]


class TorchSteps:
    """An optimizer of torch and the parameters that it moves in place."""

    def __init__(
        self,
        trial: Trial,
        rule: TorchOptimizer,
        params: Tensors,
        rates: Callable[[int], float],
        horizon: int,
    ) -> None:
        """Copy the parameters; `rates` returns the schedule's multiplier at a step."""
        self.lr, self.clip_norm, self.rates = trial.lr, rule.clip_norm, rates
        self.settings = partial(settings_at, trial, horizon=horizon)
        self.params = {name: param.detach().clone() for name, param in params.items()}
        for param in self.params.values():
            param.requires_grad_()
        self.optimizer = rule.made(list(self.params.values()), trial.lr)

    def __call__(self, params: Tensors, slopes: Callable[[Tensors], Slopes], step: int) -> Tensors:
        """Take a step; return the parameters after it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * self.rates(step)
            group.update(self.settings(step))

        def closure() -> Tensor:
            loss, gradient = slopes({name: p.detach() for name, p in self.params.items()})
            for name, slope in clipped(gradient, self.clip_norm).items():
                self.params[name].grad = slope
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type]
        return {name: param.detach().clone() for name, param in self.params.items()}


def settings_at(trial: Trial, step: int, horizon: int) -> dict[str, float]:
    """Return the fields of a trial's optimizer that schedules change, at a step."""
    found = {}
    for setting, schedule in trial.training.scheduled:
        owner, _, name = setting.rpartition(".")
        if setting != BATCH_SIZE and owner in ("", name_of(trial.optimizer)):
            field = name.replace("-", "_")
            given = getattr(trial.optimizer, field)
            found[field] = given * schedule.multiplier(step, horizon)
    return found


def clipped(gradient: Tensors, longest: float | None) -> Tensors:
    """Return a gradient of at most the given norm."""
    length, longest = norm(gradient), longest or math.inf
    if not length > longest:
        return gradient
    return {name: slope * (longest / length) for name, slope in gradient.items()}


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
    family, problem = family_of(trial.problem), trial.problem
    from_step = family.quantize_from_step(trial, data)
    objective = family.objective(problem, data, device, from_step)
    objective.pieces = pieces_for(trial, data, plain=True)
    start = family.starting_point(problem, data, trial.seed)
    params = tensors(start, device)
    rates = Rates(trial.schedule, plan.steps)
    move = _mover(trial, params, plan, rates)
    batches = _batches(trial, plan, objective)
    kinds = trial.training.measures
    one = OneTrial(objective, trial.seed, device)
    measures = Measures(kinds, one, _stacked(params)) if kinds else None
    curve = ReferenceCurve(trial.training)
    watcher = TrialWatcher(watched(plan, stochastic=trial.method != "gd"), plan.steps)
    watch(params, objective.buffers)
    objective.set_step(0)
    seen, values = 0, _measured(objective, measures, params)
    curve.add(0, seen, values, params)
    rates.observe(values)
    watcher.add(0, values, beyond=curve.ended == DIVERGED)
    for here, there in pairwise(plan.points()):
        if curve.ended != RUNNING:
            break
        for step in range(here, there):
            if step > here and step in watcher.wanted:
                objective.set_step(step)
                values, _ = objective.evaluate(params)
                watcher.add(step, values, beyond=curve.beyond(values, params))
            objective.set_step(step)
            batch = next(batches)
            slopes = _Counted(
                partial(objective.step_gradient, batch=batch, seed=trial.seed, step=step)
            )
            params = move(params, slopes, step)
            seen += slopes.calls * (plan.examples_at(step + 1) - plan.examples_at(step))
        objective.set_step(there)
        watch(params, objective.buffers)
        values = _measured(objective, measures, params)
        curve.add(there, seen, values, params)
        rates.observe(values)
        watcher.add(there, values, beyond=curve.ended == DIVERGED)
        advance(there - here)
    curves = curve.curves(device.dtype, plan)
    return curves._replace(trajectory=watcher.trajectory(curve.steps[-1]))


class _Counted:
    """A gradient function that counts its calls: a step of L-BFGS makes many."""

    def __init__(self, slopes: Callable[[Tensors], Slopes]) -> None:
        self.slopes, self.calls = slopes, 0

    def __call__(self, params: Tensors) -> Slopes:
        self.calls += 1
        return self.slopes(params)


def _measured(objective: Objective[Any], measures: Measures | None, params: Tensors) -> Tensors:
    """Return what is recorded at a point, by column."""
    values, gradient = objective.evaluate(params)
    if measures is None:
        return values
    running = values["train_loss"].isfinite().reshape(1)
    point = Evaluation(_stacked(values), _stacked(gradient), running)
    return _only(measures.added(_stacked(params), point).values)


class Rates:
    """The multipliers of a trial's schedule, which may follow the recorded losses."""

    def __init__(self, schedule: Schedule, horizon: int) -> None:
        """Begin before the first loss."""
        self.schedule, self.horizon = schedule, horizon
        self.memory = schedule.start() if isinstance(schedule, FeedbackSchedule) else None

    def __call__(self, step: int) -> float:
        """Return the multiplier at a step."""
        if self.memory is not None:
            return self.memory["multiplier"]
        return self.schedule.multiplier(step, self.horizon)

    def observe(self, values: Tensors) -> None:
        """Tell the schedule the loss of a recorded point."""
        if isinstance(self.schedule, FeedbackSchedule) and self.memory is not None:
            self.memory = self.schedule.observed(self.memory, float(values["train_loss"]))


def _mover(trial: Trial, params: Tensors, plan: Plan, rates: Rates) -> Mover:
    """Return a function that takes one step with the parameters."""
    if isinstance(trial.optimizer, TorchOptimizer):
        return TorchSteps(trial, trial.optimizer, params, rates, plan.steps)
    states = {name: trial.optimizer.init(param) for name, param in params.items()}

    def move(params: Tensors, slopes: Callable[[Tensors], Slopes], step: int) -> Tensors:
        changed = settings_at(trial, step, plan.steps)
        rule = replace(trial.optimizer, **changed) if changed else trial.optimizer
        directions = _directions(rule, params, slopes(params)[1], states, step + 1)
        rate = trial.lr * rates(step)
        return {name: param - rate * directions[name] for name, param in params.items()}

    return move


def _batches(trial: Trial, plan: Plan, objective: Objective[Any]) -> Iterator[Tensors]:
    """Yield the batch of each step: all examples, or the next ones in the order of the seed."""
    if trial.method == "gd":
        yield from repeat(objective.train)
    orders = Orders(name_of(trial.problem), (trial.seed,), plan, trial.training.order)
    for ((chosen,),) in orders.blocks(0, plan.steps, 1):
        yield objective.batch(torch.from_numpy(chosen))


def _directions(
    rule: Optimizer, params: Tensors, gradient: Tensors, states: dict[str, State], step: int
) -> Tensors:
    """Clip the gradient, decay the weights, return the directions; update the states in place."""
    gradient, directions = clipped(gradient, rule.clip_norm), {}
    for name, param in params.items():
        slope = gradient[name]
        decay = rule.weight_decay * param
        if not rule.decoupled:
            slope = slope + decay
        directions[name], states[name] = rule.update(slope, states[name], param, step)
        if rule.decoupled:
            directions[name] = directions[name] + decay
    return directions
