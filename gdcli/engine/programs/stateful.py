"""A module with a loss of its own: one trial after the other, by plain autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import torch

from gdcli.datasets.out_of_core import add_to
from gdcli.engine.initial import module_of
from gdcli.engine.mapping import OneByOne, hessian_product, stacked
from gdcli.engine.program import Evaluation
from gdcli.engine.programs.autograd import AutogradProgram

if TYPE_CHECKING:
    from gdcli.engine.device import Torch
    from gdcli.engine.lanes import Lanes
    from gdcli.problem import Batch, Data, Params, StatefulNetwork


class StatefulProgram(AutogradProgram):
    """A problem's own module: a step's pass moves the buffers that are carried on."""

    mapped = "module"
    problem: StatefulNetwork

    def __init__(self, problem: StatefulNetwork, data: Data, lanes: Lanes, device: Torch) -> None:
        """Make a module for its structure; every pass puts a trial's numbers into it."""
        super().__init__(problem, data, lanes, device, OneByOne())
        module = module_of(problem, data).requires_grad_()
        self.module = module.to(device.name, getattr(torch, device.dtype))
        count = lanes.shape[0]
        kept = self.module.state_dict()
        held = {name: kept[name] for name, _ in self.module.named_buffers() if name in kept}
        self.carried = {n: array.expand(count, *array.shape).clone() for n, array in held.items()}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient by parameter, of a pass in training mode."""
        gradient, self.carried = self._for_each(params, lambda lane: self._pass(batch, lane))
        return gradient

    @property
    def replays(self) -> bool:
        """False: a step costs too much to be taken twice."""
        return False

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product by parameter, of the loss as a recorded point has it."""

        def product(lane: int) -> tuple[Params, Params]:
            self.module.eval()
            leaves = dict(self.module.named_parameters())
            along = {name: array[lane] for name, array in direction.items()}
            found: Params = {}
            for share, batch in self._chunks(self.train):
                add_to(found, hessian_product(share * self._total(batch), leaves, along))
            return found, {}

        return self._for_each(params, product)[0]

    def training_loss(self, params: Params) -> Any:
        """Return the loss without its gradient, and without what else is recorded."""

        def loss(_: int) -> tuple[Params, Params]:
            self.module.eval()
            found: Params = {}
            with torch.no_grad():
                for share, batch in self._chunks(self.train):
                    add_to(found, {"train_loss": share * self._total(batch)})
            return found, {}

        return self._for_each(params, loss)[0]["train_loss"]

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses with their parts, the gradient norm, and the problem's own measures."""
        values, gradient = self._for_each(params, lambda _: self._point())
        first = {"train_loss": values.pop("train_loss"), "grad_norm": self.norm(gradient)}
        return Evaluation(first | values, gradient)

    def _for_each(
        self, params: Params, function: Callable[[int], tuple[Params, Params]]
    ) -> tuple[Params, Params]:
        """Return what a function gives for every trial, whose numbers are in the module then."""
        found = []
        with torch.random.fork_rng(devices=[]):
            for lane in range(self.lanes.shape[0]):
                self._begin(lane)
                held = {name: array[lane] for name, array in (params | self.carried).items()}
                self.module.load_state_dict(held)
                found.append(function(lane))
        return cast("tuple[Params, Params]", stacked(found))

    def _pass(self, batch: Batch | None, lane: int) -> tuple[Params, Params]:
        """Return a step's gradient, and the buffers as its pass leaves them."""
        own = self.train if batch is None else {name: array[lane] for name, array in batch.items()}
        self.module.train()
        gradient = self._slopes(self._total(own))
        left = self.module.state_dict()
        return gradient, {name: left[name].clone() for name in self.carried}

    def _point(self) -> tuple[Params, Params]:
        """Return the measures of a recorded point, and the gradient of the training loss."""
        self.module.eval()
        gradient: Params = {}
        values = self._means("train", gradient)
        if self.test:
            with torch.no_grad():
                values |= self._means("test")
                found = self.problem.measure(self.module, self.test | self.constants)
            like = values["train_loss"]
            values |= {name: torch.tensor(value).to(like) for name, value in found.items()}
        return values, gradient

    def _means(self, part: str, gradient: Params | None = None) -> Params:
        """Return a part's loss and what it consists of; add up its gradient, if it is wanted."""
        sums: Params = {}
        for share, batch in self._chunks(getattr(self, part)):
            losses = {name: share * loss for name, loss in self._losses(batch).items()}
            total = sum(losses.values())
            if gradient is not None:
                add_to(gradient, self._slopes(total))
            found = {"loss": total, **losses}
            add_to(sums, {name: value.detach() for name, value in found.items()})
        return {f"{part}_{name}": value for name, value in sums.items()}

    def _chunks(self, part: Batch) -> Iterator[tuple[float, Batch]]:
        """Yield all examples of a part, some at a time, with the share of all that they are."""
        count = len(next(iter(part.values())))
        for first in range(0, count, self.problem.at_once):
            some = slice(first, min(first + self.problem.at_once, count))
            batch = {name: array[some] for name, array in part.items()}
            yield (some.stop - some.start) / count, batch

    def _losses(self, batch: Batch) -> Params:
        return self.problem.losses(self.module, batch | self.constants)

    def _total(self, batch: Batch) -> Any:
        return sum(self._losses(batch).values())

    def _slopes(self, loss: Any) -> Params:
        """Return the gradient of a loss by parameter."""
        params = dict(self.module.named_parameters())
        slopes = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
        return dict(zip(params, slopes, strict=True))
