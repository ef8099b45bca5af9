"""Networks of known layers: forward and backward passes for parameters (trials, ...)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.datasets.out_of_core import add_to
from gdcli.engine.criteria import CRITERIA, CrossEntropy, WeightedCrossEntropy, one_hot
from gdcli.engine.device import give_back
from gdcli.engine.examples import BALANCED, HITS, balanced, class_weights, counts_of, hits
from gdcli.engine.layers.modules import penalised
from gdcli.engine.layers.quantized import rounding_of
from gdcli.engine.layers.stacked import stacked
from gdcli.engine.layout import BENT, Pieces, pieces
from gdcli.engine.programs.program import CHUNK, Evaluation, ExampleLosses
from gdcli.engine.programs.vmap import FirstAxisProgram
from gdcli.engine.update import Stepwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Device
    from gdcli.engine.layers.quantized import Rounding
    from gdcli.engine.layers.stacked import StackedLayer
    from gdcli.engine.layout import TrialLayout
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer
    from gdcli.optimizer import State
    from gdcli.problem import Data, Network, Params


class NetworkProgram(FirstAxisProgram):
    """A sequence of stacked layers and a criterion."""

    description = "stacked layers"
    counts: dict[str, NDArray[np.int64]] | None = None  # of each class, where recall is recorded
    pieces = Pieces(CHUNK, CHUNK)

    def __init__(
        self,
        problem: Network,
        data: Data,
        layout: TrialLayout,
        device: Device,
        module: torch.nn.Module,
    ) -> None:
        """Take the module of one trial; every layer of it has a stacked form."""
        super().__init__(problem, data, layout, device)
        self.layers, self.l2 = stacked(module) or {}, problem.l2
        self.criterion, self.measure = CRITERIA[str(problem.criterion)], problem.measure
        self.rounding, self.weights = rounding_of(module), penalised(module)
        self.seed = device.array(layout.seed)
        if self.train["y"].ndim == 1 and problem.criterion != "cross_entropy":
            self.train, self.test = (
                {**part, "y": part["y"][:, None]} if part else part
                for part in (self.train, self.test)
            )
        if problem.criterion == "cross_entropy":
            # As many columns as outputs: a part may lack a class.
            one = torch.from_numpy(data.train["x"][:1]).to(torch.get_default_dtype())
            outputs, dtype = module(one).shape[1], self.train["x"].dtype
            self.train, self.test = (
                {**part, "y": one_hot(part["y"], outputs, dtype)} if part else part
                for part in (self.train, self.test)
            )
            each = class_weights(problem, data, outputs)
            if each is not None:
                self.criterion = WeightedCrossEntropy(device.array(each))
            if problem.recalls:
                self.counts = counts_of(data)

    def stepper(self, optimizer: StackedOptimizer, orders: Orders | None) -> Stepwise[Any]:
        """Return the stepper that stores no gradient, where a step is plain."""
        if orders and self.layers and optimizer.plain:
            return FusedNetwork(self, optimizer, orders)
        return Stepwise(self, optimizer, orders)

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return every parameter with an axis of trials, by its name in the module."""
        by_seed = {n: self.device.array(np.stack([s[n] for s in starts])) for n in starts[0]}
        return {name: values[self.seed] for name, values in by_seed.items()}

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield x (trials, ..., batch) and y (trials, outputs, batch)."""
        size = len(self.seed) * indices.shape[2] * self.train["x"][0].numel()
        for places in self.device.array(indices).split(max(1, self.device.at_once // size)):
            chosen = places[:, self.seed]
            flat = chosen.flatten()
            x, y = (
                _batch_last(self.train[name].index_select(0, flat).unflatten(0, chosen.shape), 2)
                for name in ("x", "y")
            )
            yield from zip(x, y, strict=True)

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient by parameter."""
        if batch is not None:
            count = batch[0].shape[-1]
            slopes = self._by_trials(self._slopes, count * self.pieces.each.step, batch, params)
            return self._finished(slopes, params, count)
        chunks = self._chunks(self.train, self.pieces.step)
        held = self.pieces.at_a_step(self.examples, full=True)
        parts = (self._by_trials(self._slopes, held, chunk, params) for chunk in chunks)
        return self._finished(_summed(parts), params, self.examples)

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Tensor, Params]:
        """Return the mean cost with the penalty, (trials,), and the gradient by parameter."""

        def costs(own: Params, x: Tensor, y: Tensor) -> Params:
            z, kept = self._forward(own, x)
            slopes = self._backward(own, kept, self.criterion.slope(z, y))
            return {"loss": self.criterion.cost(z, y), **slopes}

        sums, count = self._on_batch(costs, batch, params)
        loss = sums.pop("loss") / count + self._penalty(params)
        return loss, self._finished(sums, params, count)

    def batch_loss(self, params: Params, batch: Any) -> Tensor:
        """Return the mean cost with the penalty, (trials,)."""

        def costs(own: Params, x: Tensor, y: Tensor) -> Params:
            return {"loss": self.criterion.cost(self._forward(own, x)[0], y)}

        sums, count = self._on_batch(costs, batch, params)
        return cast("Tensor", sums["loss"] / count + self._penalty(params))

    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return the product by parameter."""
        sums, count = self._on_batch(self._bent, batch, params, direction, times=BENT)
        return self._finished(sums, direction, count)

    def gauss_newton_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return the product by parameter; the penalty is part of it."""
        sums, count = self._on_batch(self._curved, batch, params, direction, times=BENT)
        return self._finished(sums, direction, count)

    def gauss_newton_diagonal(self, params: Params, batch: Any) -> Params:
        """Return the estimate by parameter, from labels drawn from the softmax of the outputs."""

        def slopes(own: Params, x: Tensor, race: Tensor) -> Params:
            z, kept = self._forward(own, x)
            winner = (torch.softmax(z, 1) / race).argmax(1)
            labels = one_hot(winner, z.shape[1], z.dtype).movedim(-1, 1)
            return self._backward(own, kept, self.criterion.slope(z, labels))

        count = self.examples if batch is None else batch[0].shape[-1]
        race = self.drawn((count, self.train["y"].shape[1])).mT
        if batch is not None:
            held = count * self.pieces.each.step
            sums = self._by_trials(slopes, held, (batch[0], race), params)
        else:
            held = self.pieces.at_a_step(count, full=True)
            chunks = [x for x, _ in self._chunks(self.train, self.pieces.step)]
            sizes = [x.shape[-1] for x in chunks]
            parts = zip(chunks, race.split(sizes, dim=-1), strict=True)
            sums = _summed(self._by_trials(slopes, held, part, params) for part in parts)
        found = {name: slope * slope / count for name, slope in sums.items()}
        bent = {name: found[name] + self.l2 for name in self.weights} if self.l2 else {}
        return found | bent

    def _on_batch(
        self, function: Callable[..., Params], batch: Any, *stacks: Params, times: int = 1
    ) -> tuple[Params, int]:
        """Return a function's sums over a batch, None: all examples, and how many these are."""
        if batch is not None:
            count = batch[0].shape[-1]
            held = times * count * self.pieces.each.step
            return self._by_trials(function, held, batch, *stacks), count
        chunks = self._chunks(self.train, self.pieces.step)
        held = times * self.pieces.at_a_step(self.examples, full=True)
        parts = (self._by_trials(function, held, chunk, *stacks) for chunk in chunks)
        return _summed(parts), self.examples

    def _curved(self, params: Params, direction: Params, x: Tensor, y: Tensor) -> Params:
        """Return J' H J times the direction, of the summed cost.

        J times the direction is the derivative of J' u by u, which is linear in u.
        """
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        inputs, along = list(leaves.values()), [direction[name] for name in leaves]
        with torch.enable_grad():
            z, _ = self._forward(leaves, x)
            dual = torch.zeros_like(z, requires_grad=True)
            pulled = torch.autograd.grad(z, inputs, dual, create_graph=True)
            (pushed,) = torch.autograd.grad(pulled, dual, along, retain_graph=True)
            free = z.detach().requires_grad_()
            slope = self.criterion.slope(free, y)
            (bent,) = torch.autograd.grad(slope, free, pushed)
            products = torch.autograd.grad(z, inputs, bent)
        return dict(zip(leaves, products, strict=True))

    def _by_trials(
        self,
        function: Callable[..., Params],
        held: int,
        examples: tuple[Tensor, Tensor],
        *stacks: Params,
    ) -> Params:
        """Return a function's values for stacks of trials and examples, some trials at a time.

        `held` is the number of bytes that each trial holds meanwhile.
        """
        groups = self._groups(held)
        if not groups:
            return function(*stacks, *examples)
        found = []
        for group in groups:
            own = *(_some(stack, group) for stack in stacks), *_shared(examples, group)
            found.append(function(*own))
            give_back(held * (group.stop - group.start))
        return {name: torch.cat([part[name] for part in found]) for name in found[0]}

    def _groups(self, held: int) -> list[slice]:
        """Return the trials to compute at a time if each holds `held` bytes; none: all."""
        size, count = self.pieces.trials(held), self.layout.shape[0]
        if size >= count:
            return []
        return [slice(first, first + size) for first in range(0, count, size)]

    def _at_a_point(
        self, function: Callable[..., Params], part: Params, *stacks: Params, times: int = 1
    ) -> Iterator[Params]:
        """Yield a function's values for each chunk of a part at a recorded point."""
        held = times * self.pieces.at_a_point(len(part["x"]))
        for chunk in self._chunks(part, self.pieces.point):
            yield self._by_trials(function, held, chunk, *stacks)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product by parameter: the gradient of the gradient along the direction."""
        parts = self._at_a_point(self._bent, self.train, params, direction, times=BENT)
        return self._finished(_summed(parts), direction, self.examples)

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and accuracy on all training and test examples."""
        sums = _summed(self._at_a_point(self._sloped, self.train, params))
        slopes = {name: sums.pop(name) for name in [*sums] if name in params}
        gradient = self._finished(slopes, params, self.examples)
        values = self._means("train", params, sums)
        values["grad_norm"] = self.norm(gradient)
        if self.test:
            values |= self._means("test", params)
        if self.rounding:
            values |= self._rounded(params, self.rounding)
        return Evaluation(values, gradient)

    def dead_units(self, params: Params) -> Tensor | None:
        """Return the share of ReLU units that are 0 for all training examples, (trials,)."""

        def firing(own: Params, x: Tensor, _: Tensor) -> Params:
            found = {}
            for name, layer in self.layers.items():
                x, _ = layer.forward(_own(own, name, layer), x)
                if isinstance(layer.layer, torch.nn.ReLU):
                    found[name] = (x > 0).any(-1).flatten(1)
            return found

        alive: dict[str, Tensor] = {}
        for found in self._at_a_point(firing, self.train, params):
            for name, fires in found.items():
                alive[name] = alive[name] | fires if name in alive else fires
        if not alive:
            return None
        return 1 - torch.cat(list(alive.values()), 1).to(self.train["x"].dtype).mean(1)

    def set_step(self, step: int) -> None:
        """Switch quantization on once its step is reached."""
        if self.rounding:
            self.rounding.set_step(step, self.quantize_from_step)

    def _rounded(self, params: Params, rounding: Rounding) -> Params:
        """Return the values of the quantized network, even before training quantizes it."""
        with rounding.switched_on():
            means = self._means("train", params)
            means |= self._means("test", params) if self.test else {}
        names = (name for name in ("train", "test") if f"{name}_{self.measure}" in means)
        return {f"{n}_quantized_{self.measure}": means[f"{n}_{self.measure}"] for n in names}

    def per_example(self, params: Params) -> Iterator[ExampleLosses]:
        """Yield the costs, and the probabilities of a classifier."""

        def costs(own: Params, x: Tensor, y: Tensor) -> Params:
            z, _ = self._forward(own, x)
            found = {"loss": self.criterion.costs(z, y)}
            likely = self.criterion.probabilities(z)
            return found if likely is None else found | {"probability": likely}

        for found in self._at_a_point(costs, self.train, params):
            yield ExampleLosses(found["loss"], found.get("probability"))

    def _means(self, part: str, params: Params, sums: Params | None = None) -> Params:
        """Return the mean values over a part's examples, from their sums if they are given."""
        examples = getattr(self, part)
        if sums is None:
            sums = _summed(self._at_a_point(self._measures, examples, params))
        hit = sums.pop(HITS, None)
        means = {f"{part}_{name}": value / len(examples["x"]) for name, value in sums.items()}
        if self.counts and hit is not None:
            means[f"{part}_{BALANCED}"] = balanced(hit[..., None], self.counts[part])[..., 0]
        means[f"{part}_loss"] += self._penalty(params)
        return means

    def _measures(self, params: Params, x: Tensor, y: Tensor) -> Params:
        """Return the summed cost and scores."""
        z, _ = self._forward(params, x)
        return {"loss": self.criterion.cost(z, y)} | self._scores(z, y)

    def _scores(self, z: Tensor, y: Tensor) -> Params:
        """Return the summed scores, and those of each class."""
        scores = self.criterion.scores(z, y)
        if self.counts:
            right = cast("CrossEntropy", self.criterion).right(z, y)
            scores[HITS] = hits(right.to(z.dtype), y).sum(-1)
        return scores

    def _sloped(self, params: Params, x: Tensor, y: Tensor) -> Params:
        """Return the same, and the gradient of the summed cost by parameter."""
        z, kept = self._forward(params, x)
        found = {"loss": self.criterion.cost(z, y)} | self._scores(z, y)
        return found | self._backward(params, kept, self.criterion.slope(z, y))

    def _chunks(self, part: Params, size: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all examples of a part, some at a time, for every trial."""
        for _, some in pieces(part, size, least=1):
            x, y = (_batch_last(some[name][None], 1) for name in ("x", "y"))
            yield x.expand(self.layout.shape[0], *x.shape[1:]), y

    def descend(self, params: Params, x: Tensor, y: Tensor, rate: Tensor, scale: Tensor) -> None:
        """Take a step of plain descent on a batch.

        `rate` holds the learning rates, of the layout's shape; `scale` is rate / batch, (trials, 1,
        1), which seldom changes from step to step.
        """
        groups = self._groups(x.shape[-1] * self.pieces.each.step)
        for group in groups:
            own = _some(params, group), *_shared((x, y), group)
            self._descend(*own, rate[group], scale[group])
        if not groups:
            self._descend(params, x, y, rate, scale)

    def _descend(self, params: Params, x: Tensor, y: Tensor, rate: Tensor, scale: Tensor) -> None:
        z, kept = self._forward(params, x)
        slope = self.criterion.slope(z, y).mul_(scale)
        shrink = 1 - rate * self.l2 if self.l2 else None
        first = next(iter(self.layers))
        for (name, layer), needed in zip(
            reversed(self.layers.items()), reversed(kept), strict=True
        ):
            own = _own(params, name, layer)
            back = layer.descend(own, needed, slope, shrink, first=name == first)
            slope = cast("Tensor", back)

    def _forward(self, params: Params, x: Tensor) -> tuple[Tensor, list[Any]]:
        """Return the outputs, and what each layer stores for its backward pass."""
        kept = []
        for name, layer in self.layers.items():
            x, needed = layer.forward(_own(params, name, layer), x)
            kept.append(needed)
        return x, kept

    def _slopes(self, params: Params, x: Tensor, y: Tensor) -> Params:
        """Return the gradients of the cost summed over a batch."""
        z, kept = self._forward(params, x)
        return self._backward(params, kept, self.criterion.slope(z, y))

    def _backward(self, params: Params, kept: list[Any], slope: Tensor) -> Params:
        """Return the gradients by parameter, from the gradient of the outputs."""
        gradients: Params = {}
        first = next(iter(self.layers))
        for (name, layer), needed in zip(
            reversed(self.layers.items()), reversed(kept), strict=True
        ):
            own = _own(params, name, layer)
            back, parts = layer.backward(own, needed, slope, first=name == first)
            gradients |= {f"{name}.{p}": g for p, g in zip(layer.parameters, parts, strict=True)}
            slope = cast("Tensor", back)
        return gradients

    def _bent(self, params: Params, direction: Params, x: Tensor, y: Tensor) -> Params:
        """Return the Hessian of the summed cost times the direction."""
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        inputs, along = list(leaves.values()), [direction[name] for name in leaves]
        with torch.enable_grad():  # a method asks for it where gradients are switched off
            z, _ = self._forward(leaves, x)
            slopes = torch.autograd.grad(z, inputs, self.criterion.slope(z, y), create_graph=True)
            products = torch.autograd.grad(slopes, inputs, along, materialize_grads=True)
        return dict(zip(leaves, products, strict=True))

    def _finished(self, gradients: Params, params: Params, count: int) -> Params:
        """Return mean gradients, of sums that become them, with the gradient of the penalty."""
        means = {name: gradient.div_(count) for name, gradient in gradients.items()}
        if self.l2:
            means |= {name: means[name] + self.l2 * params[name] for name in self.weights}
        return means

    def _penalty(self, params: Params) -> Any:
        if not self.l2:
            return 0.0
        return (
            0.5 * self.l2 * sum(self.sum_per_trial(params[name].square()) for name in self.weights)
        )


def _summed(parts: Iterable[Params]) -> Params:
    sums: Params = {}
    for part in parts:
        add_to(sums, part)
    return sums


def _some(stack: Params, group: slice) -> Params:
    return {name: array[group] for name, array in stack.items()}


def _shared(examples: tuple[Tensor, Tensor], group: slice) -> tuple[Tensor, Tensor]:
    """Return the examples of some trials, or the examples that all share."""
    x, y = (array if len(array) == 1 else array[group] for array in examples)
    return x, y


def _own(params: Params, name: str, layer: StackedLayer) -> list[Tensor]:
    return [params[f"{name}.{parameter}"] for parameter in layer.parameters]


def _batch_last(x: Tensor, axis: int) -> Tensor:
    """Return an array with its batch axis moved last; images are copied into that order."""
    moved = x.movedim(axis, -1)
    return moved if x.ndim - axis == 2 else moved.contiguous()


class FusedNetwork(Stepwise[NetworkProgram]):
    """Plain stochastic descent on a network: each layer moves its own parameters.

    The parameters move during the backward pass, so no gradient is ever stored.
    """

    description = "gradient and update fused"
    # The last rates, batch size, and rates / size.
    known: tuple[Tensor, int, Tensor] | None = None

    def take(
        self,
        params: Params,
        states: dict[str, State],
        step: int,
        batch: Any,
        gradient: Params | None = None,
    ) -> None:
        """Take a step with the slopes times the learning rate over the batch size."""
        x, y = batch
        rate, count = self.optimizer.learning_rates(step), x.shape[-1]
        if self.known is None or self.known[0] is not rate or self.known[1] != count:
            self.known = rate, count, (rate / count)[:, None, None]
        self.program.descend(params, x, y, rate, self.known[2])
