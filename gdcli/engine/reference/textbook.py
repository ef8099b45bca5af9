"""One trial, step by step: a batch, the gradient of its loss by autograd, the update, a record.

Nothing is stacked, fused or differentiated by hand. What a trial is given (its start, the order of
its examples, its update rule) it is given by any engine; how it is computed is all here.

What is kept of one trial: its recorded points, and how it ended.

Steps that a class of torch.optim takes: on the parameters of one trial, as a tutorial has it.

The sharpness of one trial: products with its Hessian by autograd, twice over.

What is watched of one trial at steps that do not depend on what is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.device import Torch
from gdcli.engine.families import needs_torch, pieces_for, precision
from gdcli.engine.hessian import direction, largest_eigenvalue, twice_differentiable
from gdcli.engine.initial import starting_point
from gdcli.engine.plan import Plan, plan_of, turn_of
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING, Curves
from gdcli.engine.reference.objective import Objective, Slopes, Tensors, norm, objective_of, tensors
from gdcli.engine.sampling import Orders
from gdcli.engine.watched import CAUSES, Watched, watched
from gdcli.engine.watcher import Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gdcli.engine.initial import Start
    from gdcli.experiment.grid import Training, Trial
    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Data


class Curve:
    """One trial's points, until one of them ends it."""

    def __init__(self, training: Training) -> None:
        """Begin without a point, running."""
        self.training = training
        self.steps: list[int] = []
        self.seen: list[int] = []  # examples whose gradient was taken, each as often as it was
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
        """Return whether a point is out of the bounds of a trial that goes on."""
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

    def curves(self, dtype: str, plan: Plan) -> Curves:
        """Return the curves of a batch of this trial alone."""
        planned = self.seen == list(map(plan.examples_at, self.steps))
        return Curves(
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
        self, trial: Trial, rule: TorchOptimizer, params: Tensors, rates: Callable[[int], float]
    ) -> None:
        """Take copies of the parameters; `rates` says the multiplier of the rate at a step."""
        self.lr, self.clip_norm, self.rates = trial.lr, rule.clip_norm, rates
        self.params = {name: param.detach().clone() for name, param in params.items()}
        for param in self.params.values():
            param.requires_grad_()
        self.optimizer = rule.made(list(self.params.values()), trial.lr)

    def __call__(self, params: Tensors, slopes: Callable[[Tensors], Slopes], step: int) -> Tensors:
        """Take a step; return the parameters as they are then."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * self.rates(step)

        def closure() -> Tensor:
            loss, gradient = slopes({name: p.detach() for name, p in self.params.items()})
            for name, slope in clipped(gradient, self.clip_norm).items():
                self.params[name].grad = slope
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type]
        return {name: param.detach().clone() for name, param in self.params.items()}


def clipped(gradient: Tensors, longest: float | None) -> Tensors:
    """Return a gradient of at most the given norm."""
    length, longest = norm(gradient), longest or math.inf
    if not length > longest:
        return gradient
    return {name: slope * (longest / length) for name, slope in gradient.items()}


class Sharpness:
    """Measures one trial, at any point."""

    def __init__(self, objective: Objective[Any], seed: int, start: Start, device: Torch) -> None:
        """Draw the direction that the search begins with: any engine's."""
        self.objective, self.device = objective, device
        first = tensors(direction(objective.problem, seed, start), device)
        self.first = _vector(list(first.values()))

    def at(self, params: Tensors) -> Tensor:
        """Return the sharpness, nan where it is not finite."""

        def product(vector: Tensor) -> Tensor:
            sums = torch.zeros_like(vector)
            for share, leaves, slopes in self.objective.curved(params):
                gradient = _vector(slopes)
                if gradient.requires_grad:  # else the loss is linear
                    bent = torch.autograd.grad(gradient, leaves, vector, materialize_grads=True)
                    sums += share * _vector(bent)
            return sums

        with twice_differentiable(self.objective.problem):
            found = largest_eigenvalue(product, self.first, np.array([True]), self.device)
        return self.first.new_tensor(found[0])


def _vector(parts: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """Return tensors as one vector, of the only trial: shape (1, size)."""
    return torch.cat([part.flatten() for part in parts])[None]


MEASURES = ("train_loss", "grad_norm", "test_loss")


class Watcher:
    """Collects the measures of the watched steps."""

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
            for name in MEASURES:
                if name in measures:
                    self.values.setdefault(name, []).append(float(measures[name]))

    def trajectory(self, last: int) -> Trajectory:
        """Return what was watched, as that of a batch of this trial alone."""
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
