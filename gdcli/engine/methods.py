"""Methods on a stack of trials: code of one trial, mapped by torch.func.vmap.

What a method asks leaves the mapping: the stacked program answers for all trials at once. States
and steps are torch tensors with the trials first, also where the program computes in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from gdcli.catalog.catalog import name_of
from gdcli.engine.device import NumPy, Torch
from gdcli.engine.programs.linear_model import of_linear_model
from gdcli.engine.programs.vmap import uncompiled
from gdcli.engine.sampling import signs
from gdcli.engine.steps.stepper import Stepper
from gdcli.engine.update import StackedRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.programs.linear_model import LinearModelProgram
    from gdcli.engine.programs.program import Program
    from gdcli.engine.recorder import TrainingState
    from gdcli.experiment.grid import Trial
    from gdcli.method import Kind, Method
    from gdcli.problem import Array, Params

STATE, SEEN = "state", "seen"  # what a stack of methods keeps besides the parameters


class _Unmapped(torch.autograd.Function):
    """A function of stacked arrays, called from within vmap with those of one trial."""

    @staticmethod
    def forward(function: Callable[..., Any], *arrays: Tensor) -> Any:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, function: Callable[..., Any], *arrays: Tensor) -> Any:
        stacked = [
            array.expand(info.batch_size, *array.shape) if axis is None else array.movedim(axis, 0)
            for array, axis in zip(arrays, in_dims[1:], strict=True)
        ]
        found = function(*stacked)
        return found, tuple(0 for _ in found)


def _unmapped(function: Callable[..., tuple[Tensor, ...]], *arrays: Tensor) -> tuple[Tensor, ...]:
    """Call a function of stacked arrays from within vmap."""
    found = _Unmapped.apply(function, *arrays)  # type: ignore[no-untyped-call]
    return cast("tuple[Tensor, ...]", found)


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
        self.examples, self.epoch = stack.examples, stack.epoch
        self.predictions, self.l2 = stack.predictions, stack.l2
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

        def answer(*arrays: Tensor) -> tuple[Tensor, ...]:
            buffers = program.buffers
            loss, grads = program.loss_and_gradient(stack.into(params, arrays), batch)
            if clip and stack.first.clip_norm is not None:
                grads = self._clipped(grads)
            if self.passed:  # buffers follow the first pass of a step
                program.buffers = buffers
            self.passed = True
            return stack.flat(loss), *stack.out_of(grads, params)

        loss, *grads = self._answered(answer, params, size)
        return loss, dict(zip(params, grads, strict=True))

    def _clipped(self, grads: Params) -> Params:
        program, limit = self.stack.program, self.stack.limit
        scale = clipping(program, grads, limit)
        return {name: grad * program.broadcast(scale, grad) for name, grad in grads.items()}

    def loss(self, params: Params) -> Tensor:
        """Return the loss of the batch."""
        program, stack = self.stack.program, self.stack

        def answer(*arrays: Tensor) -> tuple[Tensor]:
            return (stack.flat(program.batch_loss(stack.into(params, arrays), self.batch)),)

        (loss,) = self._answered(answer, params, self.size)
        return loss

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product of the batch's Hessian."""
        return self._product(self.stack.program.batch_hessian_product, params, direction)

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return the product of the batch's Gauss-Newton matrix."""
        return self._product(self.stack.program.gauss_newton_product, params, direction)

    def _product(
        self, product: Callable[[Params, Params, Any], Params], params: Params, direction: Params
    ) -> Params:
        stack, count = self.stack, len(params)

        def answer(*arrays: Tensor) -> tuple[Tensor, ...]:
            point, along = stack.into(params, arrays[:count]), stack.into(params, arrays[count:])
            return tuple(stack.out_of(product(point, along, self.batch), params))

        both = {**params, **{f"{name} along": direction[name] for name in params}}
        return dict(zip(params, self._answered(answer, both, self.size), strict=True))

    @property
    def chosen(self) -> Tensor:
        """The indices of the batch's examples: those of a trial's seed."""
        stack, indices = self.stack, self.indices
        if indices is None:
            return torch.arange(self.examples, device=stack.torch.name)
        of_seed = torch.from_numpy(indices).to(stack.torch.name)
        (found,) = _unmapped(lambda _: (of_seed[stack.seed],), self.ended)
        return found

    def example_slopes(self, params: Params) -> Tensor:
        """Return the slope of each example's cost."""
        stack = self.stack
        program = cast("LinearModelProgram", stack.program)

        def answer(*arrays: Tensor) -> tuple[Tensor]:
            return (stack.tensor(program.example_slopes(stack.into(params, arrays), self.batch)),)

        (slopes,) = self._answered(answer, params, self.size)
        return slopes

    def mean_gradient(self, params: Params, slopes: Tensor) -> Params:
        """Return the mean gradient of costs with such slopes."""
        stack = self.stack
        program = cast("LinearModelProgram", stack.program)

        def answer(slopes: Tensor) -> tuple[Tensor, ...]:
            held = slopes.numpy() if stack.numpy else slopes
            return tuple(stack.out_of(program.mean_gradient(held, self.batch), params))

        return dict(zip(params, _unmapped(answer, slopes), strict=True))

    def clipped(self, gradient: Params) -> Params:
        """Return a gradient of at most the largest norm."""
        stack = self.stack
        if stack.first.clip_norm is None:
            return gradient

        def answer(*arrays: Tensor) -> tuple[Tensor, ...]:
            return tuple(stack.out_of(self._clipped(stack.into(gradient, arrays)), gradient))

        return dict(zip(gradient, _unmapped(answer, *gradient.values()), strict=True))

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step: those of a trial's seed."""
        stack = self.stack

        def answer(*arrays: Tensor) -> tuple[Tensor, ...]:
            seeds, step = stack.program.layout.seeds, stack.program.step
            found = []
            for name, array in zip(params, arrays, strict=True):
                shape = tuple(array.shape[1:])
                drawn = [signs((stack.name, seed), name, step, shape) for seed in seeds]
                found.append(stack.torch.array(np.stack(drawn))[stack.seed])
            return tuple(found)

        found = self._answered(answer, params, 0)
        return dict(zip(params, found, strict=True))

    def everyone(self, done: Tensor) -> bool:
        """Return whether all trials are done; those that have ended are."""
        found = True

        def answer(done: Tensor) -> tuple[Tensor]:
            nonlocal found
            self.active = (~done).to(self.active.dtype)
            found = bool(done.all())
            return (done.clone(),)

        _unmapped(answer, done | self.ended)
        return found

    def _answered(
        self, answer: Callable[..., tuple[Tensor, ...]], given: Params, size: int
    ) -> tuple[Tensor, ...]:
        """Return what the program answers, charged to the trials that are not done."""
        self.seen = self.seen + size * self.active
        return _unmapped(answer, *given.values())


def clipping(program: Program, grads: Params, limit: Array) -> Array:
    """Return the factor that clips each trial's gradient to its largest norm."""
    length = program.norm(grads)
    where = np.where if isinstance(length, np.ndarray) else torch.where
    return where(length > limit, limit / length, 1.0)


class StackedMethod(StackedRule):
    """The method of a cohort, with one value a trial for each numeric setting."""

    def __init__(
        self,
        program: Program,
        trials: Sequence[Trial],
        horizon: int,
        kind: Mapping[str, Kind],
        epoch: int = 1,
    ) -> None:
        """Take the kinds of the parameters by name, and the steps of an epoch."""
        super().__init__(program, trials, horizon)
        self.kind, self.examples, self.epoch = kind, program.examples, epoch
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
        """Return the program's parameters, of tensors with the places first."""
        if self.numpy:
            apart = {name: tensor.numpy() for name, tensor in apart.items()}
        return self.program.together(apart)

    def into(self, names: Params, arrays: Sequence[Tensor]) -> Params:
        """Return the program's parameters, of tensors in the order of names."""
        return self.together(dict(zip(names, arrays, strict=True)))

    def out_of(self, params: Params, names: Params) -> list[Tensor]:
        """Return tensors in the order of names, of the program's parameters."""
        found = self.apart(params)
        return [found[name] for name in names]

    def _one(self, numbers: Params) -> Method:
        """Return the method with the numbers of one trial."""
        method = copy(self.first)
        for name, value in numbers.items():
            # The options were checked when the method was made; the dataclass is frozen.
            object.__setattr__(method, name, value)
        return method

    def _mapped(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return a function of one trial's method, mapped over the trials."""

        def of_one(numbers: Params, *rest: Any) -> Any:
            return function(self._one(numbers), *rest)

        return uncompiled()(torch.func.vmap(of_one))(self.numbers, *given)

    def init(self, params: Params) -> dict[str, Any]:
        """Return the state of every trial, and the examples that it has asked for."""

        def begin(method: Method, params: Params) -> Any:
            return method.init(params, self), params

        state, _ = self._mapped(begin, self.apart(params))
        seen = torch.zeros(self.places, dtype=torch.int64, device=self.torch.name)
        # A state may be a parameter itself, or a number that all trials share.
        return {STATE: pytree.tree_map(lambda a: a.clone(), state), SEEN: seen}

    def step(self, params: Params, states: dict[str, Any], step: int, batch: Taken) -> None:
        """Take step `step`, counted from 0, on a batch; change both dictionaries."""
        rates = self.flat(self.learning_rates(step))
        asked: list[StackedAsk] = []

        def move(method: Method, params: Params, state: Any, lr: Tensor, ended: Tensor) -> Any:
            asked.append(StackedAsk(self, batch, ended))
            return method.step(params, state, asked[0], lr, step + 1)

        ended = self.flat(self.running) == 0
        moved, states[STATE] = self._mapped(move, self.apart(params), states[STATE], rates, ended)
        params.update(self.together(moved))
        states[SEEN] = states[SEEN] + asked[0].seen

    def point(self, params: Params, states: dict[str, Any]) -> Params:
        """Return the parameters that are recorded and handed out."""
        if not self.first.records_another_point:
            return params

        def at(method: Method, params: Params, state: Any) -> Any:
            return method.at(params, state)

        return self.together(self._mapped(at, self.apart(params), states[STATE]))

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

        states[STATE] = pytree.tree_map(still, states[STATE])


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
