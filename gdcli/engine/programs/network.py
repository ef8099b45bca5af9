"""Networks of known layers, forward and backward written out: parameters (trials, ...)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.engine.criteria import CRITERIA, accuracy, one_hot
from gdcli.engine.program import CHUNK, Evaluation, Program
from gdcli.engine.stacked import stacked
from gdcli.problem import Data, Network, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Device
    from gdcli.engine.lanes import Lanes
    from gdcli.engine.stacked.layer import StackedLayer


class NetworkProgram(Program):
    """A sequence of stacked layers and a criterion."""

    def __init__(
        self,
        problem: Network,
        data: Data,
        lanes: Lanes,
        device: Device,
        module: torch.nn.Module,
    ) -> None:
        """Take the module of one trial, all of whose layers have a trial-axis form."""
        super().__init__(problem, data, lanes, device)
        self.layers, self.l2 = stacked(module) or {}, problem.l2
        self.criterion = CRITERIA[problem.criterion]
        self.classifies = problem.criterion == "cross_entropy"
        self.seed = device.array(lanes.seed)
        if self.classifies:
            # As wide as the outputs: a part may lack a class.
            one = torch.from_numpy(data.train["x"][:1]).to(torch.get_default_dtype())
            outputs, dtype = module(one).shape[1], self.train["x"].dtype
            self.train, self.test = (
                {**part, "y": one_hot(part["y"], outputs, dtype)} if part else part
                for part in (self.train, self.test)
            )

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return every parameter with an axis of trials, by its name in the module."""
        by_seed = {n: self.device.array(np.stack([s[n] for s in starts])) for n in starts[0]}
        return {name: values[self.seed] for name, values in by_seed.items()}

    def over(self, values: Tensor, param: Tensor) -> Tensor:
        """Return values with an axis for each of the parameter's own."""
        return values.view(-1, *[1] * (param.ndim - 1))

    def total(self, array: Tensor) -> Tensor:
        """Return the sum over all axes but the trials."""
        return array.flatten(1).sum(1)

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield x (trials, ..., batch) and y (trials, outputs, batch)."""
        for places in self.device.array(indices):
            chosen = places[self.seed]
            flat = chosen.flatten()
            yield (
                _batch_last(self.train["x"].index_select(0, flat).unflatten(0, chosen.shape)),
                _batch_last(self.train["y"].index_select(0, flat).unflatten(0, chosen.shape)),
            )

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient by parameter."""
        if batch is None:
            return self._full(params, self.train, gradient=True)[1]
        x, y = batch
        _, _, gradients = self._pass(params, x, y, gradient=True)
        return self._finished(gradients, params, x.shape[-1])

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and accuracy on all training and test examples."""
        values, gradient = self._full(params, self.train, gradient=True)
        values = {f"train_{name}": value for name, value in values.items()}
        values["grad_norm"] = self.norm(gradient)
        if self.test:
            values |= {
                f"test_{n}": v for n, v in self._full(params, self.test, gradient=False)[0].items()
            }
        return Evaluation(values, gradient)

    def _full(self, params: Params, part: Params, *, gradient: bool) -> tuple[Params, Params]:
        """Return means over all examples, chunk by chunk, and the gradient."""
        sums: Params = {}
        count = len(part["x"])
        for first in range(0, count, CHUNK):
            x, y = (_batch_last(part[name][None, first : first + CHUNK]) for name in ("x", "y"))
            x = x.expand(self.lanes.shape[0], *x.shape[1:])
            z, loss, gradients = self._pass(params, x, y, gradient=gradient)
            measures = {"loss": loss, **(accuracy(z, y) if self.classifies else {}), **gradients}
            sums = {name: sums[name] + v if sums else v for name, v in measures.items()}
        names = [name for name in ("loss", "accuracy") if name in sums]
        means: Params = {name: sums.pop(name) / count for name in names}
        means["loss"] = means["loss"] + self._penalty(params)
        return means, self._finished(sums, params, count)

    def descend(self, params: Params, x: Tensor, y: Tensor, rate: Tensor) -> None:
        """Take a step of plain descent on a batch, at learning rates of the lanes' shape."""
        z, kept = self._forward(params, x)
        slope = self.criterion(z, y)[1] * (rate / x.shape[-1])[:, None, None]
        first = next(iter(self.layers))
        for (name, layer), needed in zip(
            reversed(self.layers.items()), reversed(kept), strict=True
        ):
            own = _own(params, name, layer)
            shrink = 1 - rate * self.l2 if self.l2 and own else None
            back = layer.descend(own, needed, slope, shrink, first=name == first)
            slope = cast("Tensor", back)

    def _forward(self, params: Params, x: Tensor) -> tuple[Tensor, list[Any]]:
        """Return the outputs, and what each layer keeps for its backward pass."""
        kept = []
        for name, layer in self.layers.items():
            x, needed = layer.forward(_own(params, name, layer), x)
            kept.append(needed)
        return x, kept

    def _pass(
        self, params: Params, x: Tensor, y: Tensor, *, gradient: bool
    ) -> tuple[Tensor, Tensor, Params]:
        """Return outputs, costs and gradients, both summed over the batch."""
        z, kept = self._forward(params, x)
        loss, slope = self.criterion(z, y)
        gradients: Params = {}
        if not gradient:
            return z, loss, gradients
        first = next(iter(self.layers))
        for (name, layer), needed in zip(
            reversed(self.layers.items()), reversed(kept), strict=True
        ):
            own = _own(params, name, layer)
            back, parts = layer.backward(own, needed, slope, first=name == first)
            gradients |= {f"{name}.{p}": g for p, g in zip(layer.parameters, parts, strict=True)}
            slope = cast("Tensor", back)
        return z, loss, gradients

    def _finished(self, gradients: Params, params: Params, count: int) -> Params:
        """Return mean gradients with the penalty's added."""
        means = {name: gradient / count for name, gradient in gradients.items()}
        if self.l2:
            weights = (name for name in means if name.endswith("weight"))
            means |= {name: means[name] + self.l2 * params[name] for name in weights}
        return means

    def _penalty(self, params: Params) -> Any:
        if not self.l2:
            return 0.0
        weights = [p for name, p in params.items() if name.endswith("weight")]
        return 0.5 * self.l2 * sum(self.total(weight.square()) for weight in weights)


def _own(params: Params, name: str, layer: StackedLayer) -> list[Tensor]:
    return [params[f"{name}.{parameter}"] for parameter in layer.parameters]


def _batch_last(x: Tensor) -> Tensor:
    """Return (trials, batch, ...) as (trials, ..., batch); images are copied into that order."""
    moved = x.movedim(1, -1)
    return moved if moved.ndim == 3 else moved.contiguous()
