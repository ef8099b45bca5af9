"""One trial, step by step: a batch, the gradient of its loss by autograd, the update, a record.

Nothing is stacked, fused or differentiated by hand. What a trial is given (its start, the order of
its examples, its update rule) it is given by any engine; how it is computed is all here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any

import torch

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.device import Torch
from gdcli.engine.families import needs_torch, pieces_for, precision
from gdcli.engine.initial import starting_point
from gdcli.engine.plan import Plan, plan_of, turn_of
from gdcli.engine.recorder import DIVERGED, RUNNING, Curves
from gdcli.engine.reference.curve import Curve
from gdcli.engine.reference.objective import Objective, Slopes, Tensors, objective_of, tensors
from gdcli.engine.reference.sharpness import Sharpness
from gdcli.engine.reference.torch_steps import Mover, TorchSteps, clipped
from gdcli.engine.reference.watcher import Watcher
from gdcli.engine.sampling import Orders
from gdcli.engine.watched import watched

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Data


def train(
    trial: Trial,
    data: Data,
    device_name: str,
    advance: Callable[[int], None],
    watch: Callable[[Tensors, Tensors], None] = lambda *_: None,
) -> Curves:
    """Train one trial on a resolved device.

    `advance` is told of the steps done, `watch` of the parameters at every recorded point, and
    of what the layers carry along.
    """
    with torch.random.fork_rng(devices=[]):  # a problem may draw numbers of its own
        return _train(trial, data, device_name, advance, watch)


def _train(
    trial: Trial,
    data: Data,
    device_name: str,
    advance: Callable[[int], None],
    watch: Callable[[Tensors, Tensors], None],
) -> Curves:
    device = Torch(precision(trial), name=device_name)
    plan = plan_of(trial, data.examples)
    parts = pieces_for(trial, data, plain=True) if needs_torch(trial.problem) else None
    objective = objective_of(trial.problem, data, device, turn_of(trial.problem, plan), parts)
    start = starting_point(trial.problem, data, trial.seed)
    params = tensors(start, device)
    move = _mover(trial, params, plan)
    batches = _batches(trial, plan, objective)
    sharpness = Sharpness(objective, trial.seed, start, device) if trial.training.measure else None
    curve = Curve(trial.training)
    watcher = Watcher(watched(plan, stochastic=trial.method != "gd"), plan.steps)
    watch(params, objective.carried)
    objective.reach(0)
    seen, measures = 0, _measures(objective, sharpness, params)
    curve.add(0, seen, measures, params)
    watcher.add(0, measures, beyond=curve.ended == DIVERGED)
    for here, there in pairwise(plan.points()):
        if curve.ended != RUNNING:
            break
        for step in range(here, there):
            if step > here and step in watcher.wanted:
                objective.reach(step)
                measures = objective.measures(params)
                watcher.add(step, measures, beyond=curve.beyond(measures, params))
            objective.reach(step)
            batch = next(batches)
            slopes = _Counted(
                partial(objective.step_gradient, batch=batch, seed=trial.seed, step=step)
            )
            params = move(params, slopes, step)
            seen += slopes.calls * (plan.examples_at(step + 1) - plan.examples_at(step))
        objective.reach(there)
        watch(params, objective.carried)
        measures = _measures(objective, sharpness, params)
        curve.add(there, seen, measures, params)
        watcher.add(there, measures, beyond=curve.ended == DIVERGED)
        advance(there - here)
    curves = curve.curves(device.dtype, plan)
    return curves._replace(trajectory=watcher.trajectory(curve.steps[-1]))


class _Counted:
    """A gradient that counts how often a step takes it: L-BFGS does many times."""

    def __init__(self, slopes: Callable[[Tensors], Slopes]) -> None:
        self.slopes, self.calls = slopes, 0

    def __call__(self, params: Tensors) -> Slopes:
        self.calls += 1
        return self.slopes(params)


def _measures(objective: Objective[Any], sharpness: Sharpness | None, params: Tensors) -> Tensors:
    """Return what is recorded at a point, by column; of a loss that is not finite no sharpness."""
    found = objective.measures(params)
    if sharpness:
        loss = found["train_loss"]
        found["sharpness"] = sharpness.at(params) if loss.isfinite() else loss.new_tensor(math.nan)
    return found


def _mover(trial: Trial, params: Tensors, plan: Plan) -> Mover:
    """Return what takes the parameters one step on."""
    rates = partial(trial.schedule.multiplier, horizon=plan.steps)
    if isinstance(trial.optimizer, TorchOptimizer):
        return TorchSteps(trial, trial.optimizer, params, rates)
    rule = trial.optimizer
    states = {name: rule.init(param) for name, param in params.items()}

    def move(params: Tensors, slopes: Callable[[Tensors], Slopes], step: int) -> Tensors:
        directions = _directions(rule, params, slopes(params)[1], states, step + 1)
        rate = trial.lr * rates(step)
        return {name: param - rate * directions[name] for name, param in params.items()}

    return move


def _batches(trial: Trial, plan: Plan, objective: Objective[Any]) -> Iterator[Tensors]:
    """Yield what each step sees: all examples, or the next ones in the order of the seed."""
    if trial.method == "gd":
        yield from repeat(objective.train)
    orders = Orders(name_of(trial.problem), (trial.seed,), plan, trial.training.order)
    for ((chosen,),) in orders.blocks(0, plan.steps, 1):
        yield objective.batch(torch.from_numpy(chosen))


def _directions(
    rule: Optimizer, params: Tensors, gradient: Tensors, states: dict[str, State], step: int
) -> Tensors:
    """Clip the gradient, decay the weights, and return where the rule goes; it moves its states."""
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
