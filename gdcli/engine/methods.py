"""Methods on a stack of trials: code of one trial, mapped over the trials.

What a method asks leaves the mapping: the stacked program answers for all trials at once. States
and steps are torch tensors with the trials first, also where the program computes in NumPy.
"""

from __future__ import annotations

from copy import copy
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from gdcli.catalog.catalog import name_of
from gdcli.engine.device import NumPy, Torch
from gdcli.engine.programs.linear_model import of_linear_model
from gdcli.engine.programs.vmap import uncompiled
from gdcli.engine.sampling import signs
from gdcli.engine.update import StackedRule, Stepper, clipping
from gdcli.mapped import each, mapped, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.plan import Plan
    from gdcli.engine.programs.linear_model import LinearModelProgram
    from gdcli.engine.programs.program import Program
    from gdcli.engine.recorder import TrainingState
    from gdcli.experiment.grid import Trial
    from gdcli.method import Kind, Method
    from gdcli.problem import Array, Params

STATE, SEEN = "state", "seen"  # what a stack of methods keeps besides the parameters


class Taken(NamedTuple):
    """The batch of a step."""

    held: Any  # by the program; None: all training examples
    size: int  # examples of each trial
    indices: NDArray[np.int64] | None = None  # of the examples of each seed, (seeds, batch)


class StackedAsk:
    """What a step of a method asks, answered by the program for all trials of the stack."""

    def __init__(self, stack: StackedMethod, batch: Taken, ended: Tensor) -> None:
        """Take a batch; `ended`, seen from within vmap, is one trial's."""
        self.stack, self.batch, self.size, self.ended = stack, batch.held, batch.size, ended
        self.indices = batch.indices
        self.kind, self.horizon = stack.kind, stack.horizon
        self.examples, self.full_batch = stack.examples, stack.full_batch
        self.epoch, self.predictions, self.l2 = stack.epoch, stack.predictions, stack.l2
        self.active = torch.ones(stack.places, dtype=torch.int64, device=stack.torch.name)
        self.seen = torch.zeros_like(self.active)
        self.passed = False  # whether a pass has moved the buffers of the step

    def __call__(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient of the batch, clipped."""
        return self._slopes(params, self.batch, self.size, clip=True)

    def all_examples(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient of all training examples."""
        return self._slopes(params, None, self.examples, clip=False)

    def _slopes(
        self, params: Params, batch: Any, size: int, *, clip: bool
    ) -> tuple[Tensor, Params]:
        program, stack = self.stack.program, self.stack

        def answer(params: Params) -> tuple[Tensor, Params]:
            buffers = program.buffers
            loss, grads = program.loss_and_gradient(stack.together(params), batch)
            if clip and stack.first.clip_norm is not None:
                grads = self._clipped(grads)
            if self.passed:  # buffers follow the first pass of a step
                program.buffers = buffers
            self.passed = True
            return stack.flat(loss), stack.apart(grads)

        return cast("tuple[Tensor, Params]", self._answered(size, answer, params))

    def _clipped(self, grads: Params) -> Params:
        program, limit = self.stack.program, self.stack.limit
        scale = clipping(program, grads, limit)
        return {name: grad * program.broadcast(scale, grad) for name, grad in grads.items()}

    def loss(self, params: Params) -> Tensor:
        """Return the loss of the batch."""
        program, stack = self.stack.program, self.stack

        def answer(params: Params) -> Tensor:
            return stack.flat(program.batch_loss(stack.together(params), self.batch))

        return cast("Tensor", self._answered(self.size, answer, params))

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product of the batch's Hessian."""
        return self._product(self.stack.program.batch_hessian_product, params, direction)

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return the product of the batch's Gauss-Newton matrix."""
        return self._product(self.stack.program.gauss_newton_product, params, direction)

    def _product(
        self, product: Callable[[Params, Params, Any], Params], params: Params, direction: Params
    ) -> Params:
        stack = self.stack

        def answer(params: Params, direction: Params) -> Params:
            held = stack.together(params), stack.together(direction)
            return stack.apart(product(*held, self.batch))

        return cast("Params", self._answered(self.size, answer, params, direction))

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return an estimate of the diagonal, from labels of a trial's seed."""
        stack = self.stack

        def answer(params: Params) -> Params:
            return stack.apart(
                stack.program.gauss_newton_diagonal(stack.together(params), self.batch)
            )

        return cast("Params", self._answered(self.size, answer, params))

    @property
    def chosen(self) -> Tensor:
        """The indices of the batch's examples: those of a trial's seed."""
        stack, indices = self.stack, self.indices
        if indices is None:
            return torch.arange(self.examples, device=stack.torch.name)
        of_seed = torch.from_numpy(indices).to(stack.torch.name)
        found: Tensor = together(lambda _: of_seed[stack.seed], self.ended)
        return found

    def example_slopes(self, params: Params) -> Tensor:
        """Return the slope of each example's cost."""
        stack = self.stack
        program = cast("LinearModelProgram", stack.program)

        def answer(params: Params) -> Tensor:
            return stack.tensor(program.example_slopes(stack.together(params), self.batch))

        return cast("Tensor", self._answered(self.size, answer, params))

    def mean_gradient(self, params: Params, slopes: Tensor) -> Params:
        """Return the mean gradient of costs with such slopes."""
        stack = self.stack
        program = cast("LinearModelProgram", stack.program)

        def answer(slopes: Tensor) -> Params:
            held = slopes.numpy() if stack.numpy else slopes
            return stack.apart(program.mean_gradient(held, self.batch))

        return cast("Params", together(answer, slopes))

    def clipped(self, gradient: Params) -> Params:
        """Return a gradient of at most the largest norm."""
        stack = self.stack
        if stack.first.clip_norm is None:
            return gradient

        def answer(gradient: Params) -> Params:
            return stack.apart(self._clipped(stack.together(gradient)))

        return cast("Params", together(answer, gradient))

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step: those of a trial's seed."""
        stack = self.stack

        def answer(params: Params) -> Params:
            seeds, step = stack.program.layout.seeds, stack.program.step
            found = {}
            for name, array in params.items():
                shape = tuple(array.shape[1:])
                drawn = [signs((stack.name, seed), name, step, shape) for seed in seeds]
                found[name] = stack.torch.array(np.stack(drawn))[stack.seed]
            return found

        return cast("Params", self._answered(0, answer, params))

    def everyone(self, done: Tensor) -> bool:
        """Return whether all trials are done; those that have ended are."""
        found = True

        def answer(done: Tensor) -> tuple[Tensor, ...]:
            nonlocal found
            self.active = (~done).to(self.active.dtype)
            found = bool(done.all())
            return ()

        together(answer, done | self.ended)
        return found

    def _answered(self, size: int, answer: Callable[..., Any], *given: Params) -> Any:
        """Return what the program answers, charged to the trials that are not done."""
        self.seen = self.seen + size * self.active
        return together(answer, *given)


class StackedMethod(StackedRule):
    """The method of a cohort, with one value a trial for each numeric setting."""

    def __init__(
        self,
        program: Program,
        trials: Sequence[Trial],
        plan: Plan,
        kind: Mapping[str, Kind],
        *,
        full_batch: bool = False,
    ) -> None:
        """Take the plan, the kinds of the parameters, and whether all steps have one loss."""
        super().__init__(program, trials, plan.steps)
        self.kind, self.examples, self.full_batch = kind, program.examples, full_batch
        self.epoch = plan.steps_per_epoch
        self.predictions, self.l2 = of_linear_model(program.problem, program.data)
        self.name = name_of(program.problem)
        self.first = cast("Method", trials[0].optimizer)
        device = program.device
        self.numpy = isinstance(device, NumPy)
        self.torch = device if isinstance(device, Torch) else Torch(device.dtype)
        self.places = program.layout.seed.size
        self.seed = self.torch.array(np.asarray(program.layout.seed).ravel())
        fixed = () if self.first.decays else ("weight_decay",)
        rules = [trial.optimizer for trial in trials]
        self.numbers = {
            name: self.flat(self._spread([getattr(rule, name) for rule in rules]))
            for name in self.first.stacked_fields()
            if name not in fixed
        }
        self.limit = self._spread([rule.clip_norm or np.inf for rule in rules])
        self.scheduled = self._scheduled(trials[0])
        self.constant = self.constant and not self.scheduled

    def arrays_of(self, field: str) -> list[Array]:
        """Return the numbers of a setting."""
        return [self.numbers[field]] if field in self.numbers else []

    @property
    def device(self) -> Torch:
        """Where states are."""
        return self.torch

    def flat(self, values: Array) -> Tensor:
        """Return values of the layout's shape as a tensor (places,)."""
        return self.tensor(values).reshape(-1)

    def tensor(self, array: Array) -> Tensor:
        """Return an array of the program as a tensor."""
        return torch.from_numpy(np.ascontiguousarray(array)) if self.numpy else array.contiguous()

    def apart(self, params: Params) -> Params:
        """Return tensors with the places first, of the program's parameters."""
        return {name: self.tensor(a) for name, a in self.program.apart(params).items()}

    def together(self, apart: Params) -> Params:
        """Return the program's parameters, of tensors with the places first.

        They are in the order in memory that they have after a checkpoint: products have other last
        bits in another.
        """
        if not self.numpy:
            return self.program.together(apart)
        held = self.program.together({name: tensor.numpy() for name, tensor in apart.items()})
        return {name: np.ascontiguousarray(array) for name, array in held.items()}

    def _with(self, numbers: Params) -> Method:
        """Return the method with the numbers of one trial, or of all."""
        method = copy(self.first)
        for name, value in numbers.items():
            # The options were checked when the method was made; the dataclass is frozen.
            object.__setattr__(method, name, value)
        return method

    def _mapped(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return a function of one trial's method, mapped over the trials."""

        def of_one(numbers: Params, *rest: Any) -> Any:
            return function(self._with(numbers), *rest)

        with uncompiled():
            return mapped(of_one, self.places, (self.numbers, *given))

    def _stacked(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return the same, of all trials at once where the method's code takes them so."""
        if not self.first.takes_stacks:
            return self._mapped(function, *given)
        return function(self._with(self.numbers), *given)

    def init(self, params: Params) -> dict[str, Any]:
        """Return the state of every trial, and the examples that it has asked for."""

        def begin(method: Method, params: Params) -> Any:
            return method.init(params, self), params

        state, _ = self._mapped(begin, self.apart(params))
        seen = torch.zeros(self.places, dtype=torch.int64, device=self.torch.name)
        # A state may be a parameter itself, or a number that all trials share.
        return {STATE: each(state, _held), SEEN: seen}

    def step(self, params: Params, states: dict[str, Any], step: int, batch: Taken) -> None:
        """Take step `step`, counted from 0, on a batch; change both dictionaries."""
        rates = self.flat(self.learning_rates(step))
        asked: list[StackedAsk] = []

        def move(method: Method, params: Params, state: Any, lr: Tensor, ended: Tensor) -> Any:
            asked.append(StackedAsk(self, batch, ended))
            return method.step(params, state, asked[0], lr, step + 1)

        ended = self.flat(self.running) == 0
        found = self._stacked(move, self.apart(params), states[STATE], rates, ended)
        moved, states[STATE] = each(found, _in_order)
        params.update(self.together(moved))
        states[SEEN] = states[SEEN] + asked[0].seen

    def point(self, params: Params, states: dict[str, Any]) -> Params:
        """Return the parameters that are recorded and exported."""
        if not self.first.records_another_point:
            return params

        def at(method: Method, params: Params, state: Any) -> Any:
            return method.at(params, state)

        return self.together(self._stacked(at, self.apart(params), states[STATE]))

    def seen(self, states: dict[str, Any]) -> Array:
        """Return the examples that each trial has asked for, of the layout's shape."""
        held = states[SEEN].reshape(self.program.layout.shape)
        return held.numpy() if self.numpy else held

    def freeze(
        self, ended: Array, params: Params, gradient: Params, states: dict[str, Any]
    ) -> None:
        """Set parameters and states of ended trials to zero: harmless, finite numbers."""
        self.stop(ended)
        where = np.where if self.numpy else torch.where
        for name, param in list(params.items()):
            params[name] = where(self.program.broadcast(ended, param), 0.0, param)
        over = self.flat(ended)

        def still(array: Tensor) -> Tensor:
            mask = over.view(-1, *[1] * (array.ndim - 1))
            return torch.where(mask, torch.zeros_like(array), array)

        states[STATE] = each(states[STATE], still)


def _held(array: Tensor) -> Tensor:
    """Return a copy of a part of the first state."""
    return array.clone(memory_format=torch.contiguous_format)


def _in_order(array: Tensor) -> Tensor:
    """Return a part of a state in the order in memory that it has after a checkpoint.

    Factors of matrices come column by column, and products with them have other last bits.
    """
    return array.contiguous()


class MethodSteps(Stepper["Program"]):
    """The steps of a method, one after another."""

    description = "a method mapped over the trials, step by step"
    optimizer: StackedMethod

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take each step by itself; the method asks for its gradients."""
        first = state.step
        for step, batch in zip(range(first, last), self._taken(first, last), strict=True):
            self.program.step = step
            self.optimizer.step(state.params, state.optimizer, step, batch)

    def _taken(self, first: int, last: int) -> Iterator[Taken]:
        """Yield the batch of every step."""
        if self.orders is None:
            yield from repeat(Taken(None, self.program.examples), last - first)
        for block in self.blocks(first, last):
            for indices, held in zip(block, self.program.batches(block), strict=True):
                yield Taken(held, block.shape[-1], indices)
