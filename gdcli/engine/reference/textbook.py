"""One trial, step by step: a batch, the gradient of its loss by autograd, the update, a record.

Nothing is stacked, fused or differentiated by hand. Starting point, order of examples and update
rule are those of any engine; how a trial is computed with them is all in this file.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.device import Torch
from gdcli.engine.families.find import (
    family_of,
    kinds_of,
    needs_torch,
    pieces_for,
    precision,
    repeats,
)
from gdcli.engine.families.objective import (
    Objective,
    Slopes,
    Tensors,
    tensors,
)
from gdcli.engine.layout import TrialLayout
from gdcli.engine.own_rules import why_alone
from gdcli.engine.plan import CAUSES, Plan, Watched, plan_of, watched
from gdcli.engine.programs.first_axis import FirstAxis
from gdcli.engine.programs.program import Evaluation
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING, BatchHistory, Measures
from gdcli.engine.reference.ask import TrialAsk, clipped
from gdcli.engine.sampling import Orders
from gdcli.engine.watcher import Trajectory
from gdcli.experiment.grid import Trial
from gdcli.experiment.scheduled import scheduled_field
from gdcli.measure import MEASURED, RAW
from gdcli.method import Method
from gdcli.schedule import FeedbackSchedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gdcli.engine.initial import Start
    from gdcli.experiment.grid import Training
    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Batch, Data, Params
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
        seen = None if planned else np.array([self.seen]).T
        return BatchHistory(
            steps=self.steps,
            values={name: np.array([c], dtype).T for name, c in self.columns.items()},
            length=np.array([len(self.steps)]),
            ended=np.array([self.ended]),
            seen=seen,
        )


class Steps(ABC):
    """How a trial moves from step to step, and the examples that its steps have asked for."""

    seen = 0
    records_another_point = False

    @abstractmethod
    def take(self, params: Tensors, batch: Batch, step: int) -> Tensors:
        """Return the parameters after a step."""

    @contextmanager
    def shown(self, params: Tensors, step: int) -> Iterator[Tensors]:
        """Give the parameters that are recorded and handed out, with the buffers of that point."""
        yield params


@dataclass
class OfTrial:
    """What the steps of a trial are taken with."""

    trial: Trial
    objective: Objective[Any]
    plan: Plan
    rates: Rates

    def rate(self, step: int) -> float:
        """Return the learning rate at a step."""
        return self.trial.lr * self.rates(step)

    def changed(self, step: int) -> dict[str, float]:
        """Return the fields of the optimizer that schedules change, at a step."""
        found, rule = {}, self.trial.optimizer
        for setting, schedule in self.trial.training.scheduled:
            if field := scheduled_field(rule, setting):
                found[field] = getattr(rule, field) * schedule.multiplier(step, self.plan.steps)
        return found

    def rule(self, step: int) -> Any:
        """Return the optimizer with the settings of a step."""
        changed, rule = self.changed(step), self.trial.optimizer
        return replace(rule, **changed) if changed else rule

    def size(self, step: int) -> int:
        """Return the number of examples in the batch of a step."""
        return self.plan.examples_at(step + 1) - self.plan.examples_at(step)

    def slopes(self, params: Tensors, batch: Batch, step: int) -> Slopes:
        """Return loss and gradient of a step's batch."""
        return self.objective.step_gradient(params, batch, self.trial.seed, step)


class RuleSteps(Steps):
    """Each step is the gradient, then the update of each parameter."""

    def __init__(self, given: OfTrial, rule: Optimizer, params: Tensors) -> None:
        """Begin with the rule's state of each parameter."""
        self.given, self.rule = given, rule
        # A rule of the user's own may be written in NumPy, for a problem that computes in it.
        own = why_alone(rule) is not None and not needs_torch(given.trial.problem)
        self.numpy = own and not rule.needs_torch
        self.states = {n: rule.init(param) for n, param in self._arrays(params).items()}

    def take(self, params: Tensors, batch: Batch, step: int) -> Tensors:
        """Return the parameters after a step."""
        self.seen += self.given.size(step)
        _, gradient = self.given.slopes(params, batch, step)
        gradient = self._arrays(clipped(gradient, self.rule.clip_norm))
        held = self._arrays(params)
        rule = self.given.rule(step)
        directions = _directions(rule, held, gradient, self.states, step + 1)
        rate = self.given.rate(step)
        return {
            name: param - rate * torch.as_tensor(directions[name]).to(param)
            for name, param in params.items()
        }

    def _arrays(self, params: Tensors) -> Params:
        """Return the arrays that the rule takes."""
        return {n: p.cpu().numpy() for n, p in params.items()} if self.numpy else params


class TorchSteps(Steps):
    """An optimizer of torch and the parameters that it moves in place."""

    def __init__(self, given: OfTrial, rule: TorchOptimizer, params: Tensors) -> None:
        """Copy the parameters."""
        self.given, self.clip_norm = given, rule.clip_norm
        self.params = {name: param.detach().clone() for name, param in params.items()}
        for param in self.params.values():
            param.requires_grad_()
        self.optimizer = rule.made(list(self.params.values()), given.trial.lr)

    def take(self, params: Tensors, batch: Batch, step: int) -> Tensors:
        """Take a step; return the parameters after it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.given.rate(step)
            group.update(self.given.changed(step))

        def closure() -> Tensor:
            self.seen += self.given.size(step)
            own = {name: p.detach() for name, p in self.params.items()}
            loss, gradient = self.given.slopes(own, batch, step)
            for name, slope in clipped(gradient, self.clip_norm).items():
                self.params[name].grad = slope
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type]
        return {name: param.detach().clone() for name, param in self.params.items()}


class MethodSteps(Steps):
    """A method asks what it needs of each batch."""

    def __init__(self, given: OfTrial, method: Method, params: Tensors) -> None:
        """Begin with the method's state."""
        self.given, self.method = given, method
        self.records_another_point = method.records_another_point
        trial = given.trial
        self.kind = kinds_of(trial.problem, trial.training.data_seed)
        self.full_batch = repeats(trial)
        self.state = method.init(params, self._ask(params, {}, 0))

    def take(self, params: Tensors, batch: Batch, step: int) -> Tensors:
        """Return the parameters after a step."""
        ask = self._ask(params, batch, step)
        lr = next(iter(params.values())).new_tensor(self.given.rate(step))
        method = self.given.rule(step)
        params, self.state = method.step(params, self.state, ask, lr, step + 1)
        self.seen += ask.seen
        return params

    @contextmanager
    def shown(self, params: Tensors, step: int) -> Iterator[Tensors]:
        """Give the point that the method hands out; its running statistics are made anew."""
        if not self.records_another_point:
            yield params
            return
        objective, point = self.given.objective, self.method.at(params, self.state)
        before = dict(objective.buffers)
        objective.settle(point, self.given.trial.seed, step)
        try:
            yield point
        finally:
            objective.restore(before)

    def _ask(self, params: Tensors, batch: Batch, step: int) -> TrialAsk:
        given, objective = self.given, self.given.objective
        passed = False

        def once(function: Callable[..., Any]) -> Callable[..., Any]:
            """Return a function whose passes leave the buffers as the step's first left them."""

            def answer(*arguments: Any) -> Any:
                nonlocal passed
                before = {name: array.clone() for name, array in objective.buffers.items()}
                with objective.in_step(given.trial.seed, step):
                    found = function(*arguments)
                if passed:
                    objective.restore(before)
                passed = True
                return found

            return answer

        trial = given.trial
        return TrialAsk(
            kind=self.kind,
            horizon=given.plan.steps,
            examples=given.plan.examples,
            slopes=once(lambda p: given.slopes(p, batch, step)),
            all_slopes=once(lambda p: given.slopes(p, objective.train, step)),
            differentiable=once(lambda p: objective.loss(p, batch)),
            size=given.size(step),
            longest=self.method.clip_norm,
            key=(name_of(trial.problem), trial.seed),
            at=step,
            outputs=once(lambda p: objective.outputs(p, batch)),
            cost=lambda z: objective.cost_of(z, batch),
            penalty=objective.penalty,
            full_batch=self.full_batch,
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
    family, problem = family_of(trial.problem), trial.problem
    from_step = family.quantize_from_step(trial, data)
    objective = family.objective(problem, data, device, from_step)
    objective.pieces = pieces_for(trial, data, plain=True)
    start = family.starting_point(problem, data, trial.seed)
    params = tensors(start, device)
    rates = Rates(trial.schedule, plan.steps)
    steps = _steps(OfTrial(trial, objective, plan, rates), params)
    batches = _batches(trial, plan, objective)
    kinds = trial.training.measures
    one = OneTrial(objective, trial.seed, device)
    measures = Measures(kinds, one, _stacked(params)) if kinds else None
    curve = ReferenceCurve(trial.training)
    watcher = TrialWatcher(watched(plan, stochastic=trial.method != "gd"), plan.steps)

    def measured(step: int) -> Tensors:
        objective.set_step(step)
        with steps.shown(params, step) as point:
            watch(point, objective.buffers)
            values = _measured(objective, measures, point)
        if steps.records_another_point:
            values[RAW.name] = objective.evaluate(params)[0]["train_loss"]
        rates.observe(values)
        return values

    values = measured(0)
    curve.add(0, 0, values, params)
    watcher.add(0, values, beyond=curve.ended == DIVERGED)
    for here, there in pairwise(plan.points()):
        if curve.ended != RUNNING:
            break
        for step in range(here, there):
            objective.set_step(step)
            if step > here and step in watcher.wanted:
                with steps.shown(params, step) as point:
                    values, _ = objective.evaluate(point)
                watcher.add(step, values, beyond=curve.beyond(values, params))
            params = steps.take(params, next(batches), step)
        values = measured(there)
        curve.add(there, steps.seen, values, params)
        watcher.add(there, values, beyond=curve.ended == DIVERGED)
        advance(there - here)
    curves = curve.curves(device.dtype, plan)
    return curves._replace(trajectory=watcher.trajectory(curve.steps[-1]))


def _measured(objective: Objective[Any], measures: Measures | None, point: Tensors) -> Tensors:
    """Return what is recorded at a point, by column."""
    values, gradient = objective.evaluate(point)
    if measures is None:
        return values
    running = values["train_loss"].isfinite().reshape(1)
    found = Evaluation(_stacked(values), _stacked(gradient), running)
    return _only(measures.added(_stacked(point), found).values)


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


def _steps(given: OfTrial, params: Tensors) -> Steps:
    """Return how the trial's optimizer takes its steps."""
    rule = given.trial.optimizer
    if isinstance(rule, TorchOptimizer):
        return TorchSteps(given, rule, params)
    if isinstance(rule, Method):
        return MethodSteps(given, rule, params)
    return RuleSteps(given, cast("Optimizer", rule), params)


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
    """Decay the weights, return the directions; update the states in place."""
    directions = {}
    for name, param in params.items():
        slope = gradient[name]
        decay = rule.weight_decay * param
        if not rule.decoupled:
            slope = slope + decay
        directions[name], states[name] = rule.update(slope, states[name], param, step)
        if rule.decoupled:
            directions[name] = directions[name] + decay
    return directions
