"""How one trial takes its steps: by a rule of each coordinate, by torch itself, or by a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.families.family import (
    kinds_of,
    needs_torch,
    repeats,
)
from gdcli.engine.families.objective import (
    Objective,
    Slopes,
    Tensors,
)
from gdcli.engine.plan import Plan
from gdcli.engine.programs.linear_model import of_linear_model
from gdcli.engine.refusals import why_alone
from gdcli.engine.trial_ask import TrialAsk, clipped
from gdcli.experiment.grid import Trial
from gdcli.experiment.training import scheduled_field
from gdcli.method import Method
from gdcli.schedule import FeedbackSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Batch, Params
    from gdcli.schedule import Schedule


class Steps(ABC):
    """How a trial moves from step to step, and the examples that its steps have asked for."""

    seen = 0
    records_another_point = False

    @abstractmethod
    def take(self, params: Tensors, batch: Batch, step: int) -> Tensors:
        """Return the parameters after a step."""

    @contextmanager
    def shown(self, params: Tensors, step: int) -> Iterator[Tensors]:
        """Give the parameters that are recorded and exported, with the buffers of that point."""
        yield params


@dataclass
class OfTrial:
    """What the steps of a trial are taken with."""

    trial: Trial
    objective: Objective[Any]
    plan: Plan
    rates: Rates
    chosen: Tensor | None = None  # indices of the examples of the next step; None: all of them

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


class StepsOfMethod(Steps):
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
        predictions, l2 = of_linear_model(trial.problem, objective.data)
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
            drawn=lambda z: objective.drawn_cost(z, batch, trial.seed, step),
            full_batch=self.full_batch,
            penalty=objective.penalty,
            epoch=given.plan.steps_per_epoch,
            predictions=predictions,
            l2=l2,
            order=given.chosen,
        )


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


def steps_of(given: OfTrial, params: Tensors) -> Steps:
    """Return how the trial's optimizer takes its steps."""
    rule = given.trial.optimizer
    if isinstance(rule, TorchOptimizer):
        return TorchSteps(given, rule, params)
    if isinstance(rule, Method):
        return StepsOfMethod(given, rule, params)
    return RuleSteps(given, cast("Optimizer", rule), params)


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
