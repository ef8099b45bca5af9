"""How the trials of a cohort take a step: one optimizer, one value a trial for each setting."""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.engine.programs.program import Program
    from gdcli.experiment.grid import Trial
    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Array, Params


class Rule:
    """The update of every parameter of every trial."""

    def __init__(
        self, program: Program, trials: Sequence[Trial], params: Params, horizon: int
    ) -> None:
        """Spread every trial's settings over the lanes, once for the shape of each parameter."""
        self.program, self.horizon = program, horizon
        rules = [trial.optimizer for trial in trials]
        self.optimizer = rules[0]
        self.rules = {name: self._stacked(rules, param) for name, param in params.items()}
        # Trials that decay, clip or follow a schedule are in other cohorts than those that do not.
        self.decays = rules[0].weight_decay > 0
        self.clips = rules[0].clip_norm is not None
        self.constant = isinstance(trials[0].schedule, Constant)
        self.limit = self._spread([rule.clip_norm or math.inf for rule in rules])
        self.schedules = tuple(dict.fromkeys(trial.schedule for trial in trials))
        chosen = [self.schedules.index(trial.schedule) for trial in trials]
        self.schedule = program.lanes.spread(chosen)
        self.lr = program.lanes.spread([trial.lr for trial in trials])
        self.running = self._spread([1.0] * len(trials))
        self.multipliers: list[float] = []  # of the schedules, at the step that follows
        self.by_lane: Array = None  # learning rates with those multipliers
        self.by_param: Params = {}  # the same, spread over each parameter

    def _stacked(self, rules: Sequence[Optimizer], param: Array) -> Optimizer:
        """Return the optimizer with an array of one value a trial in every field that may vary."""
        stacked = copy(rules[0])
        for name in type(stacked).stacked_fields():
            values = self._spread([getattr(rule, name) for rule in rules])
            # The options were checked when each rule was made; they are frozen for everyone else.
            object.__setattr__(stacked, name, self.program.over(values, param))
        return stacked

    def _spread(self, values: Sequence[Any]) -> Array:
        lanes = self.program.lanes.spread([float(value) for value in values])
        return self.program.device.array(lanes)

    def init(self, params: Params) -> dict[str, State]:
        """Return the optimizer's state of every parameter."""
        return {name: rule.init(params[name]) for name, rule in self.rules.items()}

    def step(self, params: Params, grads: Params, states: dict[str, State], step: int) -> None:
        """Move the parameters, in place, along the direction of step `step`, counted from 0."""
        scale = self._clipping(grads) if self.clips else None
        rates = self.rates(step, params)
        for name, rule in self.rules.items():
            param, grad = params[name], grads[name]
            if scale is not None:
                grad = grad * self.program.over(scale, param)
            if self.decays and not rule.decoupled:
                grad = grad + rule.weight_decay * param
            direction, states[name] = rule.update(grad, states[name], param, step + 1)
            if self.decays and rule.decoupled:
                direction = direction + rule.weight_decay * param
            # Not in place: a rule may keep the parameter in its state.
            params[name] = param - rates[name] * direction

    def _clipping(self, grads: Params) -> Array:
        """Return the factor that brings each trial's gradient to its largest norm."""
        norm = self.program.norm(grads)
        return namespace(norm).where(norm > self.limit, self.limit / norm, 1.0)

    def learning_rates(self, step: int) -> Array:
        """Return the learning rates at a step, of the lanes' shape; 0 where a trial has ended.

        It is the same array until a multiplier changes or a trial ends.
        """
        multipliers = [schedule.multiplier(step, self.horizon) for schedule in self.schedules]
        if multipliers != self.multipliers:
            self.multipliers = multipliers
            rates = self.lr * np.array(multipliers)[self.schedule]
            self.by_lane = self.program.device.array(rates) * self.running
            self.by_param = {}
        return self.by_lane

    def rates(self, step: int, params: Params) -> Params:
        """Return the learning rates at a step, shaped to broadcast against each parameter."""
        lanes = self.learning_rates(step)
        if not self.by_param:
            self.by_param = {name: self.program.over(lanes, p) for name, p in params.items()}
        return self.by_param

    def at(self, rates: Array) -> Rule:
        """Return the same rule with the learning rates that an array holds, whatever the step."""
        fixed = copy(self)
        fixed.schedules, fixed.multipliers = (), []  # no schedule: no multiplier ever changes
        fixed.by_lane, fixed.by_param = rates, {}
        return fixed

    def freeze(
        self, ended: Array, params: Params, gradient: Params, states: dict[str, State]
    ) -> None:
        """Set what ended trials hold to zero, so that they go on as harmless, finite numbers."""
        self.stop(ended)
        where = namespace(ended).where
        for name, param in list(params.items()):
            mask = self.program.over(ended, param)
            params[name] = where(mask, 0.0, param)
            gradient[name] = where(mask, 0.0, gradient[name])
            states[name] = {key: where(mask, 0.0, value) for key, value in states[name].items()}

    def stop(self, ended: Array) -> None:
        """Set the learning rates of ended trials to zero."""
        self.running = namespace(ended).where(ended, 0.0, self.running)
        self.multipliers = []
