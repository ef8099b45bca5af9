"""Any loss in PyTorch: differentiated by autograd, the trials mapped by torch.func.vmap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.engine.criteria import CRITERIA, one_hot
from gdcli.engine.program import CHUNK, Evaluation, Outcome
from gdcli.engine.programs.first_axis import FirstAxisProgram
from gdcli.engine.quantization.layers import rounding_of
from gdcli.problem import Batch, Data, Network, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Device
    from gdcli.engine.lanes import Lanes


class AutogradProgram(FirstAxisProgram):
    """A problem's own loss and metrics, written for one trial."""

    words = "vmap of the loss"

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return every parameter with an axis of trials."""
        seed = torch.as_tensor(self.lanes.seed)
        return {
            name: self.device.array(np.stack([s[name] for s in starts])[seed]) for name in starts[0]
        }

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches of arrays (trials, batch, ...)."""
        seed = self.device.array(self.lanes.seed)
        for places in self.device.array(indices):
            yield {name: array[places[seed]] for name, array in self.train.items()}

    def loss(self, params: Params, batch: Batch) -> Tensor:
        """Return the loss of one trial."""
        return cast("Tensor", self.problem.loss(params, {**batch, **self.constants}))

    def metrics(self, params: Params, batch: Batch, part: str) -> Params:
        """Return what is recorded of one trial besides the loss; `part` is "train" or "test"."""
        if part == "test":
            return {}
        return self.problem.metrics(params, {**batch, **self.constants})

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient by parameter."""
        shared = batch is None
        mapped = torch.func.vmap(torch.func.grad(self.loss), in_dims=(0, None if shared else 0))
        return cast("Params", mapped(params, self.train if shared else batch))

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product by parameter: the gradient of the gradient along the direction."""

        def along(params: Params, direction: Params) -> Tensor:
            gradient = torch.func.grad(self.loss)(params, self.train)
            return cast("Tensor", sum((gradient[n] * direction[n]).sum() for n in gradient))

        return cast("Params", torch.func.vmap(torch.func.grad(along))(params, direction))

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and metrics on all training and test examples."""
        gradient, loss = self._each(torch.func.grad_and_value(self.loss), params, self.train)
        values = {"train_loss": loss, "grad_norm": self.norm(gradient)}
        values |= self._each(lambda p, b: self.metrics(p, b, "train"), params, self.train)
        if self.test:
            values["test_loss"] = self._each(self.loss, params, self.test)
            values |= self._each(lambda p, b: self.metrics(p, b, "test"), params, self.test)
        return Evaluation(values, gradient)

    def _each(self, function: Callable[[Params, Batch], Any], params: Params, batch: Batch) -> Any:
        """Return a function of one trial, for every trial, on the same examples."""
        return torch.func.vmap(function, in_dims=(0, None))(params, batch)


class ModuleProgram(AutogradProgram):
    """A network with a layer that has no trial-axis form."""

    words = "vmap of the module"

    def __init__(
        self, problem: Network, data: Data, lanes: Lanes, device: Device, module: torch.nn.Module
    ) -> None:
        """Take the module of one trial, for its structure."""
        super().__init__(problem, data, lanes, device)
        self.module, self.l2, self.criterion = module, problem.l2, problem.criterion
        self.measure, self.rounding = problem.measure, rounding_of(module)

    def reach(self, step: int) -> None:
        """Round from the turn on, if it is trained so."""
        if self.rounding and self.rounding.trains:
            self.rounding.on = step >= self.turn

    def _outputs(self, params: Params, batch: Batch) -> Tensor:
        return cast("Tensor", torch.func.functional_call(self.module, params, (batch["x"],)))

    def loss(self, params: Params, batch: Batch) -> Tensor:
        """Return the criterion of the module's outputs, and the penalty."""
        z = self._outputs(params, batch)
        function = getattr(
            torch.nn.functional, {"mse": "mse_loss"}.get(self.criterion, self.criterion)
        )
        weights = [value for name, value in params.items() if name.endswith("weight")]
        penalty = sum(weight.square().sum() for weight in weights)
        return cast("Tensor", function(z, batch["y"]) + 0.5 * self.l2 * penalty)

    def outcomes(self, params: Params) -> Iterator[Outcome]:
        """Yield the costs, and the probabilities of a classifier."""
        criterion = CRITERIA[self.criterion]
        for first in range(0, self.examples, CHUNK):
            part = {name: array[first : first + CHUNK] for name, array in self.train.items()}
            z = self._each(self._outputs, params, part).movedim(-1, 1)
            y = part["y"]
            y = one_hot(y, z.shape[1], z.dtype) if self.criterion == "cross_entropy" else y
            yield Outcome(criterion.costs(z, y.mT), criterion.probabilities(z))

    def metrics(self, params: Params, batch: Batch, part: str) -> Params:
        """Return the accuracy of a classifier, and the measure of the rounded network."""
        found = {}
        if self.measure == "accuracy":
            found[f"{part}_accuracy"] = self._accuracy(params, batch)
        if self.rounding:
            measure = self._accuracy if self.measure == "accuracy" else self.loss
            with self.rounding.switched_on():
                found[f"{part}_quantized_{self.measure}"] = measure(params, batch)
        return found

    def _accuracy(self, params: Params, batch: Batch) -> Tensor:
        z = self._outputs(params, batch)
        right = z.argmax(-1) == batch["y"]
        return right.to(z.dtype).mean()
