"""Any loss in PyTorch: autograd's gradient of one trial, mapped over the trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import add_to, mean_of, scaled
from gdcli.engine.criteria import TrialCriterion
from gdcli.engine.device import give_back
from gdcli.engine.examples import HITS, class_weights, counts_of, recalled
from gdcli.engine.initial import module_of
from gdcli.engine.layers.modules import PureModule, penalised
from gdcli.engine.layers.quantized import rounding_of
from gdcli.engine.layout import BENT, pieces
from gdcli.engine.programs.program import CHUNK, Evaluation, ExampleLosses
from gdcli.engine.programs.vmap import (
    FirstAxisProgram,
    as_differentiated,
)
from gdcli.engine.sampling import layer_seed, settling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Torch
    from gdcli.engine.layers.modules import Masks
    from gdcli.engine.layout import TrialLayout
    from gdcli.engine.programs.vmap import Mapping
    from gdcli.problem import Batch, Data, Network, Params, Problem


LOSS = " loss"  # no parameter of a module has a space in its name


class AutogradProgram(FirstAxisProgram):
    """A problem's own loss and metrics, written for one trial."""

    mapped = "loss"  # what is mapped, for the description

    def __init__(
        self, problem: Problem, data: Data, layout: TrialLayout, device: Torch, mapping: Mapping
    ) -> None:
        """Take the mapping: how functions of one trial are computed for all."""
        super().__init__(problem, data, layout, device)
        self.mapping, self.description = mapping, mapping.description.format(self.mapped)
        self.reuses_recorded_gradient = mapping.reuses_recorded_gradient

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return every parameter with an axis of trials."""
        seed = self.layout.seed
        return {
            name: self.device.array(np.stack([s[name] for s in starts])[seed]) for name in starts[0]
        }

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches of arrays (trials, batch, ...)."""
        seed = self.device.array(self.layout.seed)
        for places in self.device.array(indices):
            yield {name: array[places[seed]] for name, array in self.train.items()}

    def loss(self, params: Params, buffers: Params, batch: Batch) -> Tensor:
        """Return the loss of one trial."""
        return cast("Tensor", self.problem.loss(params, {**batch, **self.constants}))

    def step_loss(
        self, params: Params, buffers: Params, masks: Masks, batch: Batch
    ) -> tuple[Tensor, Params]:
        """Return the loss of one trial's step, and the buffers after it."""
        return self.loss(params, buffers, batch), buffers

    def metrics(self, params: Params, buffers: Params, batch: Batch, part: str) -> Params:
        """Return the values that are recorded of one trial besides the loss."""
        if part == "test":
            return {}
        return self.problem.metrics(params, {**batch, **self.constants})

    def masks(self, batch: Batch, *, shared: bool) -> Masks:
        """Return the random masks of a step, for every trial."""
        return {}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient by parameter."""
        return self.loss_and_gradient(params, batch)[1]

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Tensor, Params]:
        """Return the loss of a step, (trials,), and its gradient by parameter."""
        if batch is not None:
            return self._descended(params, batch, shared=False)

        def of_part(part: Batch) -> Params:
            loss, gradient = self._descended(params, part, shared=True)
            return {**gradient, LOSS: loss}

        found = mean_of((share, of_part(p)) for share, p in pieces(self.train, self.pieces.step))
        return found.pop(LOSS), found

    def batch_loss(self, params: Params, batch: Any) -> Tensor:
        """Return the loss of a step, (trials,)."""

        def loss(params: Params, buffers: Params, masks: Masks, batch: Batch) -> Tensor:
            return self.step_loss(params, buffers, masks, batch)[0]

        return cast("Tensor", self._on_step(self.mappable(loss), batch, params))

    def mappable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of one trial as it can be mapped where no gradient is asked for."""
        return function

    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return the product by parameter, of a step's loss."""

        def loss(params: Params, buffers: Params, masks: Masks, batch: Batch) -> Tensor:
            return self.step_loss(params, buffers, masks, batch)[0]

        product = self.mapping.product(loss)
        return cast("Params", self._on_step(product, batch, params, direction, times=BENT))

    def _on_step(
        self, function: Callable[..., Any], batch: Any, *stacks: Params, times: int = 1
    ) -> Any:
        """Return a function of one trial, as a step computes it, mapped over the trials."""
        shared = batch is None
        batch = self.train if shared else batch
        count = _count(batch) if shared else next(iter(batch.values())).shape[1]
        masks = self.masks(batch, shared=shared)
        which = (*(False for _ in stacks), False, False, shared)
        held = times * count * self.pieces.each.step
        mapped = self.mapping.each(function, which, self._begin, self._at_once(held))
        return mapped(*stacks, self.buffers, masks, batch)

    def _descended(self, params: Params, batch: Batch, *, shared: bool) -> tuple[Tensor, Params]:
        """Return loss and gradient of a step; keep the buffers after the step."""
        masks = self.masks(batch, shared=shared)
        slopes = self.mapping.slopes(self.step_loss)
        count = _count(batch) if shared else next(iter(batch.values())).shape[1]
        at_once = self._at_once(count * self.pieces.each.step)
        mapped = self.mapping.each(slopes, (False, False, False, shared), self._begin, at_once)
        gradient, (loss, self.buffers) = mapped(params, self.buffers, masks, batch)
        give_back(self.layout.shape[0] * count * self.pieces.each.step)
        return loss, gradient

    def _at_once(self, held: int) -> int | None:
        """Return how many trials to compute at a time if each holds `held` bytes; None: all."""
        trials = self.pieces.trials(held)
        return trials if trials < self.layout.shape[0] else None

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product by parameter: the gradient of the gradient along the direction."""
        product = self.mapping.product(self.loss)

        def along(batch: Batch) -> Params:
            held = BENT * self.pieces.at_a_point(_count(batch))
            shared = (False, False, False, True)
            mapped = self.mapping.each(product, shared, self._begin, self._at_once(held))
            return cast("Params", mapped(params, direction, self.buffers, batch))

        return mean_of((share, along(p)) for share, p in pieces(self.train, self.pieces.point))

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and metrics on all training and test examples."""
        slopes = self.mapping.slopes(lambda p, c, b: (self.loss(p, c, b), {}))

        gradient: Params = {}
        values: Params = {}
        for share, batch in pieces(self.train, self.pieces.point):
            slope, (loss, _) = self._each(slopes, params, batch)
            add_to(gradient, scaled(share, slope))
            add_to(
                values, scaled(share, {"train_loss": loss} | self._metrics(params, batch, "train"))
            )
        first = {"train_loss": values.pop("train_loss"), "grad_norm": self.norm(gradient)}
        if self.test:
            for share, batch in pieces(self.test, self.pieces.point):
                add_to(values, scaled(share, self.measured(params, batch, "test")))
        return Evaluation(first | values, gradient)

    def measured(self, params: Params, batch: Batch, part: str) -> Params:
        """Return the values that are recorded, on some examples of a part."""
        loss = self._each(self.loss, params, batch)
        return {f"{part}_loss": loss} | self._metrics(params, batch, part)

    def _metrics(self, params: Params, batch: Batch, part: str) -> Params:
        """Return the values of every trial besides the loss."""
        found = self._each(lambda p, c, b: self.metrics(p, c, b, part), params, batch)
        return cast("Params", found)

    def _each(self, function: Callable[..., Any], params: Params, batch: Batch) -> Any:
        """Return a function of one trial mapped over all trials, on the same examples."""
        held = self.pieces.at_a_point(_count(batch))
        which = (False, False, True)
        mapped = self.mapping.each(self.mappable(function), which, self._begin, self._at_once(held))
        found = mapped(params, self.buffers, batch)
        give_back(self.layout.shape[0] * held)
        return found

    def _begin(self, place: int) -> None:
        """Seed torch's stream for a trial and the current step."""
        seed = self.layout.seeds[self.layout.seed[place]]
        torch.manual_seed(layer_seed(name_of(self.problem), seed, self.step))


class ModuleProgram(AutogradProgram):
    """A network with a layer that has no stacked form."""

    mapped = "module"

    def __init__(
        self, problem: Network, data: Data, layout: TrialLayout, device: Torch, mapping: Mapping
    ) -> None:
        """Make the module of one trial: its layers serve all trials."""
        super().__init__(problem, data, layout, device, mapping)
        module = module_of(problem, data)
        self.measure, self.rounding = problem.measure, rounding_of(module)
        self.module = PureModule(module, name_of(problem), device)
        each = class_weights(problem, data)
        self.cost = TrialCriterion(problem, device, None if each is None else device.array(each))
        self.l2, self.weights = problem.l2, penalised(module)
        self.classifies = problem.classifies
        self.counts = counts_of(data) if self.classifies and problem.recalls else None
        self.seed = device.array(layout.seed)
        held = self.module.buffers.items()
        self.buffers = {n: a.expand(layout.shape[0], *a.shape).clone() for n, a in held}
        self.first_buffers = self.buffers
        # A layer may compute something else in training mode than in evaluation mode.
        self.reuses_recorded_gradient = False

    def set_step(self, step: int) -> None:
        """Switch quantization on once its step is reached."""
        if self.rounding:
            self.rounding.set_step(step, self.quantize_from_step)

    def buffers_at(self, params: Params, buffers: Params) -> Params:
        """Return running statistics of a point, from passes over training examples."""
        if not buffers:
            return buffers
        found = self.first_buffers
        for places in settling(name_of(self.problem), self.examples):
            batch = {n: a[self.device.array(places)] for n, a in self.train.items()}
            masks = self.masks(batch, shared=True)
            held = len(places) * self.pieces.each.step
            passed, which = self.mappable(self.step_loss), (False, False, False, True)
            mapped = self.mapping.each(passed, which, self._begin, self._at_once(held))
            _, found = mapped(params, found, masks, batch)
        return found

    def masks(self, batch: Batch, *, shared: bool) -> Masks:
        """Return the masks of dropout layers; trials that run one by one draw them on the way."""
        if not self.mapping.reuses_recorded_gradient:
            return {}
        drawn = self.module.masks(
            self.layout.seeds, self.step, batch["x"] if shared else batch["x"][0]
        )
        return {name: [mask[self.seed] for mask in masks] for name, masks in drawn.items()}

    def loss(self, params: Params, buffers: Params, batch: Batch) -> Tensor:
        """Return the criterion of the module's outputs, and the penalty."""
        z, _ = self.module(params, buffers, batch["x"], training=False)
        return self._cost(params, z, batch)

    def step_loss(
        self, params: Params, buffers: Params, masks: Masks, batch: Batch
    ) -> tuple[Tensor, Params]:
        """Return the loss with dropout and batch statistics, and the buffers after it."""
        z, buffers = self._passed(params, buffers, masks, batch)
        return self._cost(params, z, batch), buffers

    def _passed(
        self, params: Params, buffers: Params, masks: Masks, batch: Batch
    ) -> tuple[Tensor, Params]:
        """Return the outputs of a step, and the buffers after it."""
        if self.mapping.reuses_recorded_gradient:
            self.module.give(masks)
        found = self.module(params, buffers, batch["x"], training=True)
        return cast("tuple[Tensor, Params]", found)

    def gauss_newton_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return the product by parameter; the penalty is part of it."""

        def outputs(params: Params, buffers: Params, masks: Masks, batch: Batch) -> Tensor:
            return self._passed(params, buffers, masks, batch)[0]

        def cost(z: Tensor, *rest: Any) -> Tensor:
            return self.cost(z, rest[-1]["y"])

        product = self.mapping.gauss_newton(outputs, cost)
        found = self._on_step(product, batch, params, direction, times=BENT)
        penalty = {name: self.l2 * direction[name] for name in self.weights}
        return {name: a + penalty[name] if name in penalty else a for name, a in found.items()}

    def gauss_newton_diagonal(self, params: Params, batch: Any) -> Params:
        """Return the estimate by parameter, from labels drawn from the softmax of the outputs."""

        def loss(
            params: Params, drawn: Params, buffers: Params, masks: Masks, batch: Batch
        ) -> tuple[Tensor, Tensor]:
            z, _ = self._passed(params, buffers, masks, batch)
            return self.cost.of_drawn(z, batch["y"], drawn["race"])

        shape = self.cost.per_label(cast("Network", self.problem), self.data)
        count = self.examples if batch is None else batch["x"].shape[1]
        drawn = {"race": self.drawn((count, *shape))}
        slopes, (_, labels) = self._on_step(self.mapping.slopes(loss), batch, params, drawn)
        found = {name: self.broadcast(labels, g) * g * g for name, g in slopes.items()}
        return {name: a + self.l2 if name in self.weights else a for name, a in found.items()}

    def _cost(self, params: Params, z: Tensor, batch: Batch) -> Tensor:
        penalty = sum(params[name].square().sum() for name in self.weights)
        return cast("Tensor", self.cost(z, batch["y"]) + 0.5 * self.l2 * penalty)

    def evaluate(self, params: Params) -> Evaluation:
        """Return the evaluation with the mean recall of the classes."""
        found = super().evaluate(params)
        if not self.counts:
            return found
        return found._replace(values=recalled(found.values, self.counts, self.data))

    def per_example(self, params: Params) -> Iterator[ExampleLosses]:
        """Yield the costs, and the probabilities where each example has one class."""

        def outcome(params: Params, buffers: Params, batch: Batch) -> Params:
            z, y = self.cost.aligned(self._outputs(params, buffers, batch), batch["y"])
            found = {"loss": self.cost.of_each(z, y)}
            if self.classifies and y.ndim == 1:
                found["probability"] = torch.softmax(z, 1).mT
            return found

        for _, batch in pieces(self.train, min(self.pieces.point or CHUNK, CHUNK), least=1):
            found = self._each(outcome, params, batch)
            yield ExampleLosses(found["loss"], found.get("probability"))

    def metrics(self, params: Params, buffers: Params, batch: Batch, part: str) -> Params:
        """Return a classifier's accuracy, and the values of the quantized network."""
        measure = self._accuracy if self.measure == "accuracy" else self.loss
        found: Params = {}
        if self.measure == "accuracy":
            found[f"{part}_accuracy"] = measure(params, buffers, batch)
        if self.counts:
            z, y = self._outputs(params, buffers, batch), batch["y"]
            found[f"{part}_{HITS}"] = self.cost.hits(z, y).to(z.dtype) / len(y)
        if self.rounding:
            with self.rounding.switched_on():
                found[f"{part}_quantized_{self.measure}"] = measure(params, buffers, batch)
        return found

    def _accuracy(self, params: Params, buffers: Params, batch: Batch) -> Tensor:
        z = self._outputs(params, buffers, batch)
        right, counted = self.cost.right(z, batch["y"]).to(z.dtype).flatten(1).sum(1)
        return cast("Tensor", right / counted)

    def _outputs(self, params: Params, buffers: Params, batch: Batch) -> Tensor:
        z, _ = self.module(params, buffers, batch["x"], training=False)
        return cast("Tensor", z)

    def mappable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function as it is where gradients are asked for, if layers are recurrent."""
        together = self.mapping.reuses_recorded_gradient
        return as_differentiated(function) if together and self.module.recurrent else function

    def _begin(self, place: int) -> None:
        super()._begin(place)
        self.module.begin(self.layout.seeds[self.layout.seed[place]], self.step)


def _count(batch: Batch) -> int:
    """Return the number of examples of a batch that all trials share."""
    return len(next(iter(batch.values()))) if batch else 1
