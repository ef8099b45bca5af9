"""A module with a loss of its own, trained one trial at a time: its buffers move with each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from gdcli.datasets.out_of_core import add_to
from gdcli.engine.initial import module_of
from gdcli.engine.programs.autograd import LOSS, AutogradProgram
from gdcli.engine.programs.program import Evaluation
from gdcli.engine.programs.vmap import OneByOne, hessian_product, stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from gdcli.engine.device import Torch
    from gdcli.engine.layout import TrialLayout
    from gdcli.problem import Batch, Data, Params, StatefulNetwork


class StatefulProgram(AutogradProgram):
    """A module with a loss of its own: a step's pass moves its buffers."""

    mapped = "module"
    problem: StatefulNetwork

    def __init__(
        self, problem: StatefulNetwork, data: Data, layout: TrialLayout, device: Torch
    ) -> None:
        """Make the module; every pass loads a trial's numbers into it."""
        super().__init__(problem, data, layout, device, OneByOne())
        module = module_of(problem, data).requires_grad_()
        self.module = module.to(device.name, getattr(torch, device.dtype))
        count = layout.shape[0]
        kept = self.module.state_dict()
        held = {name: kept[name] for name, _ in self.module.named_buffers() if name in kept}
        self.buffers = {n: array.expand(count, *array.shape).clone() for n, array in held.items()}

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Tensor, Params]:
        """Return loss and gradient of a pass in training mode."""
        found, self.buffers = self._for_each(params, lambda place: self._pass(batch, place))
        return found.pop(LOSS), found

    def batch_loss(self, params: Params, batch: Any) -> Tensor:
        """Return the loss of a pass in training mode, whose buffers are left as they are."""
        found, _ = self._for_each(params, lambda place: self._pass(batch, place, slopes=False))
        return cast("Tensor", found[LOSS])

    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Raise NotImplementedError: a pass costs too much to be differentiated twice."""
        raise NotImplementedError

    @property
    def replays(self) -> bool:
        """False: a step costs too much to be repeated."""
        return False

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product with the Hessian of the recorded loss."""

        def product(place: int) -> tuple[Params, Params]:
            self.module.eval()
            leaves = dict(self.module.named_parameters())
            along = {name: array[place] for name, array in direction.items()}
            found: Params = {}
            for share, batch in self._chunks(self.train):
                add_to(found, hessian_product(share * self._total(batch), leaves, along))
            return found, {}

        return self._for_each(params, product)[0]

    def training_loss(self, params: Params) -> Any:
        """Return the full training loss, and compute nothing else."""

        def loss(_: int) -> tuple[Params, Params]:
            self.module.eval()
            found: Params = {}
            with torch.no_grad():
                for share, batch in self._chunks(self.train):
                    add_to(found, {"train_loss": share * self._total(batch)})
            return found, {}

        return self._for_each(params, loss)[0]["train_loss"]

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses with their parts, the gradient norm, and the problem's own values."""
        values, gradient = self._for_each(params, lambda _: self._point())
        first = {"train_loss": values.pop("train_loss"), "grad_norm": self.norm(gradient)}
        return Evaluation(first | values, gradient)

    def _for_each(
        self, params: Params, function: Callable[[int], tuple[Params, Params]]
    ) -> tuple[Params, Params]:
        """Return a function's values for every trial, with the trial's numbers in the module."""
        found = []
        with torch.random.fork_rng(devices=[]):
            for place in range(self.layout.shape[0]):
                self._begin(place)
                held = {n: a[place] for n, a in (params | self.buffers).items()}
                self.module.load_state_dict(held)
                found.append(function(place))
        return cast("tuple[Params, Params]", stacked(found))

    def _pass(
        self, batch: Batch | None, place: int, *, slopes: bool = True
    ) -> tuple[Params, Params]:
        """Return a step's loss and gradient, and the buffers after its pass."""
        own = self.train if batch is None else {name: array[place] for name, array in batch.items()}
        self.module.train()
        with torch.enable_grad():  # a method asks for it where gradients are switched off
            loss = self._total(own)
            found = self._slopes(loss) if slopes else {}
        found[LOSS] = loss.detach()
        left = self.module.state_dict()
        return found, {name: left[name].clone() for name in self.buffers}

    def _point(self) -> tuple[Params, Params]:
        """Return the values of a recorded point, and the gradient of the training loss."""
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
        """Return a part's loss and its parts; add its gradient to `gradient`, if that is given."""
        sums: Params = {}
        for share, batch in self._chunks(getattr(self, part)):
            losses = {name: share * loss for name, loss in self._losses(batch).items()}
            total = sum(losses.values())
            if gradient is not None:
                add_to(gradient, self._slopes(total))
            add_to(sums, {n: value.detach() for n, value in {"loss": total, **losses}.items()})
        return {f"{part}_{name}": value for name, value in sums.items()}

    def _chunks(self, part: Batch) -> Iterator[tuple[float, Batch]]:
        """Yield all examples of a part, some at a time, each piece with its share."""
        count, size = len(next(iter(part.values()))), self.problem.at_once
        for first in range(0, count, size):
            batch = {name: array[first : first + size] for name, array in part.items()}
            yield min(size, count - first) / count, batch

    def _losses(self, batch: Batch) -> Params:
        return self.problem.losses(self.module, batch | self.constants)

    def _total(self, batch: Batch) -> Any:
        return sum(self._losses(batch).values())

    def _slopes(self, loss: Any) -> Params:
        """Return the gradient of a loss by parameter."""
        params = dict(self.module.named_parameters())
        slopes = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
        return dict(zip(params, slopes, strict=True))
