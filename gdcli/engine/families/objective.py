"""What one trial minimises and records: a problem in plain PyTorch, without stacking."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import torch

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import add_to, mean_of, scaled
from gdcli.engine.criteria import TrialCriterion
from gdcli.engine.examples import HITS, class_weights, counts_of, hits, recalled, weighted
from gdcli.engine.initial import module_of
from gdcli.engine.layers.modules import PureModule, penalised
from gdcli.engine.layers.quantized import rounding_of
from gdcli.engine.layout import Pieces, pieces
from gdcli.engine.sampling import exponentials, layer_seed, settling
from gdcli.engine.trial_ask import norm
from gdcli.problem import (
    Analytic,
    Batch,
    Data,
    LinearModel,
    Network,
    OfClasses,
    Problem,
    StatefulNetwork,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Torch

Tensors: TypeAlias = "dict[str, Tensor]"
Curved: TypeAlias = "tuple[float, list[Tensor], tuple[Tensor, ...]]"  # share, leaves, gradient
Slopes: TypeAlias = "tuple[Tensor, Tensors]"  # a loss and its gradient by parameter
P = TypeVar("P", bound=Problem)


class Objective(Generic[P]):
    """The mean loss that a problem states, its gradient by autograd, and its metrics."""

    pieces = Pieces()
    quantize_from_step = 0  # the step from which on a network is rounded
    counts: dict[str, NDArray[np.int64]] | None = None  # of each class, where recall is recorded

    def __init__(self, problem: P, data: Data, device: Torch) -> None:
        """Move the examples to the device."""
        self.problem, self.data = problem, data
        self.examples, self.held_out, self.constants = (
            tensors(arrays, device) for arrays in (data.train, data.test, data.constants)
        )
        self.train = self.examples | self.constants
        self.test = self.held_out and self.held_out | self.constants

    @property
    def buffers(self) -> Tensors:
        """Tensors besides the parameters that change from step to step."""
        return {}

    def set_step(self, step: int) -> None:
        """Prepare for `step`: switch quantization on once its step is reached."""

    def batch(self, chosen: Tensor) -> Tensors:
        """Return the chosen training examples, given by their indices."""
        return {name: array[chosen] for name, array in self.examples.items()} | self.constants

    def loss(self, params: Tensors, batch: Tensors) -> Any:
        """Return the mean loss over a batch, with the penalty."""
        return self.problem.loss(params, batch)

    def metrics(self, params: Tensors, batch: Tensors, part: str) -> Tensors:
        """Return what is recorded besides the loss; `part` is "train" or "test"."""
        return self.problem.metrics(params, batch) if part == "train" else {}

    @contextmanager
    def in_step(self, seed: int, step: int) -> Iterator[None]:
        """Compute as a step of a trial does: with its random numbers, in training mode."""
        # What a problem draws from torch's own stream follows from the trial's seed and the step.
        torch.manual_seed(layer_seed(name_of(self.problem), seed, step))
        yield

    def step_gradient(self, params: Tensors, batch: Tensors, seed: int, step: int) -> Slopes:
        """Return the loss that a step of a trial descends, and its gradient."""
        with self.in_step(seed, step):
            if batch is self.train:
                return self._gradient_of_all(params, self.pieces.step)
            return self.gradient(params, batch)

    def restore(self, buffers: Tensors) -> None:
        """Take buffers back that a pass has moved."""

    def settle(self, params: Tensors, seed: int, step: int) -> None:
        """Make running statistics anew, for a point that no step has passed."""

    def outputs(self, params: Tensors, batch: Tensors) -> Any:
        """Return what the problem predicts for a batch.

        Raises NotImplementedError where the loss is not a function of outputs.
        """
        raise NotImplementedError

    def cost_of(self, z: Tensor, batch: Tensors) -> Any:
        """Return the mean loss of outputs, without the penalty."""
        raise NotImplementedError

    def drawn_cost(
        self, z: Tensor, batch: Tensors, seed: int, step: int
    ) -> tuple[Tensor, float | Tensor]:
        """Return the mean loss of labels drawn from outputs at a step, and how many these are.

        Raises NotImplementedError where the loss is not minus the log of classes' probabilities.
        """
        raise NotImplementedError

    def race(self, like: Tensor, seed: int, step: int) -> Tensor:
        """Return the exponential numbers that labels are drawn by, of some probabilities' shape."""
        drawn = exponentials((name_of(self.problem), seed), step, tuple(like.shape))
        return torch.from_numpy(drawn).to(like)

    def penalty(self, params: Tensors) -> Any:
        """Return what the loss adds to that of the outputs: a quadratic form."""
        raise NotImplementedError

    def _gradient_of_all(self, params: Tensors, at_once: int | None) -> Slopes:
        """Return the mean loss over all training examples, and its gradient."""
        loss: Tensors = {}
        gradient: Tensors = {}
        for share, part in pieces(self.examples, at_once):
            found, slopes = self.gradient(params, part | self.constants)
            add_to(loss, scaled(share, {"loss": found}))
            add_to(gradient, scaled(share, slopes))
        return loss["loss"], gradient

    def _means(self, measure: Callable[[Tensors], Tensors], examples: Tensors) -> Tensors:
        """Return the means over all examples of a function's values."""
        parts = pieces(examples, self.pieces.point)
        return mean_of((share, measure(part | self.constants)) for share, part in parts)

    def gradient(self, params: Tensors, batch: Tensors) -> Slopes:
        """Return the loss and its gradient by parameter."""
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        loss = self.loss(leaves, batch)
        slopes = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        return loss.detach(), dict(zip(leaves, slopes, strict=True))

    def curved(self, params: Tensors) -> Iterator[Curved]:
        """Yield share, leaves and gradient to differentiate again, for pieces of the examples."""
        for share, part in pieces(self.examples, self.pieces.point):
            leaves = [param.detach().requires_grad_() for param in params.values()]
            named = dict(zip(params, leaves, strict=True))
            loss = self.loss(named, part | self.constants)
            yield share, leaves, _bendable(loss, leaves)

    def evaluate(self, params: Tensors) -> tuple[Tensors, Tensors]:
        """Return what is recorded at a point, by column, and the full gradient."""
        loss, gradient = self._gradient_of_all(params, self.pieces.point)
        found = {"train_loss": loss, "grad_norm": norm(gradient)}
        with torch.no_grad():
            found |= self._means(lambda part: self.metrics(params, part, "train"), self.examples)
            if self.held_out:
                found |= self._means(lambda part: self._tested(params, part), self.held_out)
        return recalled(found, self.counts, self.data) if self.counts else found, gradient

    def _tested(self, params: Tensors, part: Tensors) -> Tensors:
        return {"test_loss": self.loss(params, part)} | self.metrics(params, part, "test")


def _bendable(loss: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the gradient of a loss with its graph, to differentiate it again."""
    return torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True)


class OfAnalytic(Objective[Analytic]):
    """A function, whose metrics are written for points with an axis of trials."""

    def metrics(self, params: Tensors, batch: Tensors, part: str) -> Tensors:
        """Return the metrics of the only trial."""
        return super().metrics({"point": params["point"][:, None]}, batch, part)


class OfLinearModel(Objective[LinearModel]):
    """A linear model, which scores its predictions."""

    def __init__(self, problem: LinearModel, data: Data, device: Torch) -> None:
        """Take the problem with the weights of the classes, if it asks for them."""
        super().__init__(weighted(problem, data, device.array), data, device)
        if isinstance(problem, OfClasses) and problem.recalls:
            self.counts = counts_of(data)

    def metrics(self, params: Tensors, batch: Tensors, part: str) -> Tensors:
        """Return the mean scores."""
        z = self.outputs(params, batch)
        scores = self.problem.scores(z[..., None], batch["y"][..., None])
        found = {f"{part}_{name}": score.mean() for name, score in scores.items()}
        if self.counts:
            right = hits(scores["accuracy"], batch["y"][..., None])[..., 0]
            found[f"{part}_{HITS}"] = right.sum(0) / len(z)
        return found

    def outputs(self, params: Tensors, batch: Tensors) -> Any:
        """Return the predictions, (examples, outputs)."""
        return batch["x"] @ params["weight"] + params["bias"]

    def cost_of(self, z: Tensor, batch: Tensors) -> Any:
        """Return the mean cost of predictions."""
        return self.problem.cost(z[..., None], batch["y"][..., None]).sum() / len(z)

    def drawn_cost(
        self, z: Tensor, batch: Tensors, seed: int, step: int
    ) -> tuple[Tensor, float | Tensor]:
        """Return the mean cost of labels drawn from the probabilities, and how many these are."""
        stacked: Any = self.problem.probabilities(z.detach()[..., None])
        likely: Tensor = stacked[..., 0]
        winner = (likely / self.race(likely, seed, step)).argmax(1)
        labels = torch.nn.functional.one_hot(winner, likely.shape[1]).to(z)
        # Two classes may have one prediction: that of class 1.
        return self.cost_of(z, {"y": labels[:, -z.shape[1] :]}), len(z)

    def penalty(self, params: Tensors) -> Any:
        """Return half of l2 times the squared weights."""
        return 0.5 * self.problem.l2 * (params["weight"] ** 2).sum()


class OfNetwork(Objective[Network]):
    """A module, its criterion, and a penalty on its weights."""

    def __init__(self, problem: Network, data: Data, device: Torch) -> None:
        """Make the module."""
        super().__init__(problem, data, device)
        module = module_of(problem, data)
        self.rounding = rounding_of(module)
        each = class_weights(problem, data)
        self.cost = TrialCriterion(problem, device, None if each is None else device.array(each))
        self.weights = penalised(module)
        if problem.recalls and problem.measure == "accuracy":
            self.counts = counts_of(data)
        self.module = PureModule(module, name_of(problem), device)
        self._buffers = self.module.buffers
        self.training = False

    @property
    def buffers(self) -> Tensors:
        """The buffers of the layers, such as running statistics."""
        return self._buffers

    def set_step(self, step: int) -> None:
        """Switch quantization on once its step is reached."""
        if self.rounding:
            self.rounding.set_step(step, self.quantize_from_step)

    @contextmanager
    def in_step(self, seed: int, step: int) -> Iterator[None]:
        """Compute with dropout and batch statistics; keep the new buffers."""
        self.module.begin(seed, step)
        self.training = True
        try:
            with super().in_step(seed, step):
                yield
        finally:
            self.training = False

    def restore(self, buffers: Tensors) -> None:
        """Take buffers back that a pass has moved."""
        self._buffers = buffers

    def settle(self, params: Tensors, seed: int, step: int) -> None:
        """Make running statistics anew, from passes over training examples."""
        if not self._buffers:
            return
        self._buffers = self.module.buffers
        for places in settling(name_of(self.problem), len(self.data.train["x"])):
            batch = self.batch(torch.from_numpy(places))
            with self.in_step(seed, step), torch.no_grad():
                self.outputs(params, batch)

    def cost_of(self, z: Tensor, batch: Tensors) -> Any:
        """Return the criterion of outputs."""
        return self.cost(z, batch["y"])

    def drawn_cost(
        self, z: Tensor, batch: Tensors, seed: int, step: int
    ) -> tuple[Tensor, float | Tensor]:
        """Return the criterion at labels drawn from the softmax of outputs, and their number."""
        like, _ = self.cost.aligned(z, batch["y"])
        return self.cost.of_drawn(z, batch["y"], self.race(like, seed, step))

    def outputs(self, params: Tensors, batch: Tensors) -> Any:
        """Return the module's outputs for a batch."""
        z, self._buffers = self.module(params, self._buffers, batch["x"], training=self.training)
        return z

    def loss(self, params: Tensors, batch: Tensors) -> Any:
        """Return the criterion of the outputs, and half of l2 times the squared weights."""
        return self.cost(self.outputs(params, batch), batch["y"]) + self.penalty(params)

    def penalty(self, params: Tensors) -> Any:
        """Return half of l2 times the squared weights."""
        squares = [(params[name] ** 2).sum() for name in self.weights]
        return 0.5 * self.problem.l2 * sum(squares)

    def metrics(self, params: Tensors, batch: Tensors, part: str) -> Tensors:
        """Return a classifier's accuracy, and the values of the quantized network."""
        measure = self._accuracy if self.problem.measure == "accuracy" else self.loss
        found = {} if measure == self.loss else {f"{part}_accuracy": measure(params, batch)}
        if self.counts:
            z, y = self.outputs(params, batch), batch["y"]
            found[f"{part}_{HITS}"] = self.cost.hits(z, y).double() / len(y)
        if self.rounding:
            with self.rounding.switched_on():
                found[f"{part}_quantized_{self.problem.measure}"] = measure(params, batch)
        return found

    def _accuracy(self, params: Tensors, batch: Tensors) -> Tensor:
        right, counted = self.cost.right(self.outputs(params, batch), batch["y"])
        share: Tensor = right.sum().double() / counted.sum()
        return share


class OfStatefulNetwork(Objective[StatefulNetwork]):
    """A module with a loss of its own, whose buffers stay in it from step to step."""

    def __init__(self, problem: StatefulNetwork, data: Data, device: Torch) -> None:
        """Make the module, in the precision of the trial."""
        super().__init__(problem, data, device)
        dtype = getattr(torch, device.dtype)
        self.module = module_of(problem, data).to(device=device.name, dtype=dtype)

    @property
    def buffers(self) -> Tensors:
        """The buffers of the module, such as running statistics."""
        parameters = {name for name, _ in self.module.named_parameters()}
        return {n: a for n, a in self.module.state_dict().items() if n not in parameters}

    def loss(self, params: Tensors, batch: Tensors) -> Any:
        """Return the sum of the parts, in the module's present mode."""
        return sum(self._parts(params, batch).values())

    def _parts(self, params: Tensors, batch: Tensors) -> Tensors:
        for name, value in params.items():
            self.module.get_parameter(name).data = value.detach()
        return self.problem.losses(self.module, batch)

    @contextmanager
    def in_step(self, seed: int, step: int) -> Iterator[None]:
        """Compute in training mode, where a pass moves the buffers."""
        self.module.train()
        with super().in_step(seed, step):
            yield

    def gradient(self, params: Tensors, batch: Tensors) -> Slopes:
        """Return the loss and its gradient, in the module's present mode."""
        loss = self.loss(params, batch)
        return loss.detach(), self._slopes(params, loss)

    def _slopes(self, params: Tensors, loss: Tensor) -> Tensors:
        leaves = [self.module.get_parameter(name) for name in params]
        slopes = torch.autograd.grad(loss, leaves, materialize_grads=True)
        return dict(zip(params, slopes, strict=True))

    def curved(self, params: Tensors) -> Iterator[Curved]:
        """Yield the same for the recorded loss, in evaluation mode."""
        self.module.eval()
        for share, batch in self._chunks(self.examples):
            loss = torch.stack([*self._parts(params, batch).values()]).sum()
            leaves = [self.module.get_parameter(name) for name in params]
            yield share, [*leaves], _bendable(loss, [*leaves])

    def evaluate(self, params: Tensors) -> tuple[Tensors, Tensors]:
        """Return both in evaluation mode, as means over passes of a few examples."""
        self.module.eval()
        found, gradient = self._losses(params, "train")
        found = {"train_loss": found["train_loss"], "grad_norm": norm(gradient), **found}
        if self.test:
            found |= self._losses(params, "test")[0]
            with torch.no_grad():
                own = self.problem.measure(self.module, self.test)
            found |= {name: torch.tensor(value) for name, value in own.items()}
        return found, gradient

    def _losses(self, params: Tensors, part: str) -> tuple[Tensors, Tensors]:
        """Return a part's losses and the gradient of their sum."""
        losses: Tensors = {}
        gradient: Tensors = {}
        for share, batch in self._chunks(self.examples if part == "train" else self.held_out):
            parts = self._parts(params, batch)
            total = torch.stack([*parts.values()]).sum()
            slopes = self._slopes(params, total)
            for sums, values in ((losses, {"loss": total, **parts}), (gradient, slopes)):
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + share * value.detach()
        return {f"{part}_{name}": value for name, value in losses.items()}, gradient

    def _chunks(self, examples: Tensors) -> Iterator[tuple[float, Tensors]]:
        """Yield all examples, some at a time, each piece with its share of the examples."""
        count = len(next(iter(examples.values())))
        for first in range(0, count, self.problem.at_once):
            some = slice(first, first + self.problem.at_once)
            batch = {name: array[some] for name, array in examples.items()}
            yield len(next(iter(batch.values()))) / count, batch | self.constants


def tensors(arrays: Batch, device: Torch) -> Tensors:
    """Return NumPy arrays by name as tensors of a device."""
    return {name: device.array(array) for name, array in arrays.items()}
