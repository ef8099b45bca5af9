"""Any loss in PyTorch: differentiated by autograd, and mapped over the trials.

A module with a loss of its own: one trial after the other, by plain autograd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import add_to, mean_of, scaled
from gdcli.engine.class_weights import HITS, class_weights, counts_of, recalled
from gdcli.engine.criteria import Cost
from gdcli.engine.device import give_back
from gdcli.engine.initial import module_of
from gdcli.engine.layers.modules import PureModule, penalised
from gdcli.engine.layers.quantized import rounding_of
from gdcli.engine.layout import BENT, pieces
from gdcli.engine.programs.first_axis import FirstAxisProgram
from gdcli.engine.programs.program import CHUNK, Evaluation, Outcome
from gdcli.engine.programs.vmap import OneByOne, as_differentiated, hessian_product, stacked
from gdcli.engine.sampling import layer_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Torch
    from gdcli.engine.layers.modules import Masks
    from gdcli.engine.layout import Lanes
    from gdcli.engine.programs.vmap import Mapping
    from gdcli.problem import Batch, Data, Network, Params, Problem, StatefulNetwork


class AutogradProgram(FirstAxisProgram):
    """A problem's own loss and metrics, written for one trial."""

    mapped = "loss"  # what is mapped, in words

    def __init__(
        self, problem: Problem, data: Data, lanes: Lanes, device: Torch, mapping: Mapping
    ) -> None:
        """Take the way in which one trial's functions are computed for all."""
        super().__init__(problem, data, lanes, device)
        self.mapping, self.words = mapping, mapping.words.format(self.mapped)
        self.steady = mapping.steady

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return every parameter with an axis of trials."""
        seed = self.lanes.seed
        return {
            name: self.device.array(np.stack([s[name] for s in starts])[seed]) for name in starts[0]
        }

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches of arrays (trials, batch, ...)."""
        seed = self.device.array(self.lanes.seed)
        for places in self.device.array(indices):
            yield {name: array[places[seed]] for name, array in self.train.items()}

    def loss(self, params: Params, carried: Params, batch: Batch) -> Tensor:
        """Return the loss of one trial."""
        return cast("Tensor", self.problem.loss(params, {**batch, **self.constants}))

    def step_loss(
        self, params: Params, carried: Params, masks: Masks, batch: Batch
    ) -> tuple[Tensor, Params]:
        """Return the loss that a step of one trial descends, and what it carries on."""
        return self.loss(params, carried, batch), carried

    def metrics(self, params: Params, carried: Params, batch: Batch, part: str) -> Params:
        """Return what is recorded of one trial besides the loss; `part` is "train" or "test"."""
        if part == "test":
            return {}
        return self.problem.metrics(params, {**batch, **self.constants})

    def masks(self, batch: Batch, *, shared: bool) -> Masks:
        """Return what a step draws ahead of it, for every trial."""
        return {}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient by parameter."""
        if batch is not None:
            return self._descended(params, batch, shared=False)
        parts = pieces(self.train, self.pieces.step)
        return mean_of((share, self._descended(params, p, shared=True)) for share, p in parts)

    def _descended(self, params: Params, batch: Batch, *, shared: bool) -> Params:
        """Return the gradient of a step's loss; take over what the trials carry on."""
        masks = self.masks(batch, shared=shared)
        slopes = self.mapping.slopes(self.step_loss)
        count = _count(batch) if shared else next(iter(batch.values())).shape[1]
        at_once = self._at_once(count * self.pieces.each.step)
        mapped = self.mapping.each(slopes, (False, False, False, shared), self._begin, at_once)
        gradient, (_, self.carried) = mapped(params, self.carried, masks, batch)
        give_back(self.lanes.shape[0] * count * self.pieces.each.step)
        return cast("Params", gradient)

    def _at_once(self, held: int) -> int | None:
        """Return how many trials to compute at a time that hold so many bytes each; None: all."""
        trials = self.pieces.trials(held)
        return trials if trials < self.lanes.shape[0] else None

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product by parameter: the gradient of the gradient along the direction."""
        product = self.mapping.product(self.loss)

        def along(batch: Batch) -> Params:
            held = BENT * self.pieces.at_a_point(_count(batch))
            shared = (False, False, False, True)
            mapped = self.mapping.each(product, shared, self._begin, self._at_once(held))
            return cast("Params", mapped(params, direction, self.carried, batch))

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
        """Return the loss, and what else is recorded, of some examples of a part."""
        loss = self._each(self.loss, params, batch)
        return {f"{part}_loss": loss} | self._metrics(params, batch, part)

    def _metrics(self, params: Params, batch: Batch, part: str) -> Params:
        """Return what is recorded of every trial besides the loss."""
        found = self._each(lambda p, c, b: self.metrics(p, c, b, part), params, batch)
        return cast("Params", found)

    def _each(self, function: Callable[..., Any], params: Params, batch: Batch) -> Any:
        """Return a function of one trial, for every trial, on the same examples."""
        held = self.pieces.at_a_point(_count(batch))
        mapped = self.mapping.each(function, (False, False, True), self._begin, self._at_once(held))
        found = mapped(params, self.carried, batch)
        give_back(self.lanes.shape[0] * held)
        return found

    def _begin(self, lane: int) -> None:
        """Have what the trial draws by itself follow from its seed and the step."""
        seed = self.lanes.seeds[self.lanes.seed[lane]]
        torch.manual_seed(layer_seed(name_of(self.problem), seed, self.step))


class ModuleProgram(AutogradProgram):
    """A network with a layer that has no trial-axis form."""

    mapped = "module"

    def __init__(
        self, problem: Network, data: Data, lanes: Lanes, device: Torch, mapping: Mapping
    ) -> None:
        """Make the module of one trial, for its structure."""
        super().__init__(problem, data, lanes, device, mapping)
        module = module_of(problem, data)
        self.measure, self.rounding = problem.measure, rounding_of(module)
        self.module = PureModule(module, name_of(problem), device)
        each = class_weights(problem, data)
        self.cost = Cost(problem, device, None if each is None else device.array(each))
        self.l2, self.weights = problem.l2, penalised(module)
        self.classifies = problem.classifies
        self.counts = counts_of(data) if self.classifies and problem.recalls else None
        self.seed = device.array(lanes.seed)
        count = lanes.shape[0]
        held = self.module.carried.items()
        self.carried = {n: array.expand(count, *array.shape).clone() for n, array in held}
        # A layer may compute otherwise in a step than where it is evaluated.
        self.steady = False

    def reach(self, step: int) -> None:
        """Round from the turn on, if it is trained so."""
        if self.rounding:
            self.rounding.reach(step, self.turn)

    def masks(self, batch: Batch, *, shared: bool) -> Masks:
        """Return the masks of the dropouts; those of trials one by one are drawn on the way."""
        if not self.mapping.steady:
            return {}
        drawn = self.module.masks(
            self.lanes.seeds, self.step, batch["x"] if shared else batch["x"][0]
        )
        return {name: [mask[self.seed] for mask in masks] for name, masks in drawn.items()}

    def loss(self, params: Params, carried: Params, batch: Batch) -> Tensor:
        """Return the criterion of the module's outputs, and the penalty."""
        z, _ = self.module(params, carried, batch["x"], training=False)
        return self._cost(params, z, batch)

    def step_loss(
        self, params: Params, carried: Params, masks: Masks, batch: Batch
    ) -> tuple[Tensor, Params]:
        """Return the same with dropout and the batch's own statistics."""
        if self.mapping.steady:
            self.module.give(masks)
        z, carried = self.module(params, carried, batch["x"], training=True)
        return self._cost(params, z, batch), carried

    def _cost(self, params: Params, z: Tensor, batch: Batch) -> Tensor:
        penalty = sum(params[name].square().sum() for name in self.weights)
        return cast("Tensor", self.cost(z, batch["y"]) + 0.5 * self.l2 * penalty)

    def evaluate(self, params: Params) -> Evaluation:
        """Return the same, and the mean recall of the classes."""
        found = super().evaluate(params)
        if not self.counts:
            return found
        return found._replace(values=recalled(found.values, self.counts, self.data))

    def outcomes(self, params: Params) -> Iterator[Outcome]:
        """Yield the costs, and the probabilities of a classifier of whole examples."""

        def outcome(params: Params, carried: Params, batch: Batch) -> Params:
            z, y = self.cost.aligned(self._outputs(params, carried, batch), batch["y"])
            found = {"loss": self.cost.of_each(z, y)}
            if self.classifies and y.ndim == 1:
                found["probability"] = torch.softmax(z, 1).mT
            return found

        for _, batch in pieces(self.train, min(self.pieces.point or CHUNK, CHUNK), least=1):
            found = self._each(outcome, params, batch)
            yield Outcome(found["loss"], found.get("probability"))

    def metrics(self, params: Params, carried: Params, batch: Batch, part: str) -> Params:
        """Return the accuracy of a classifier, and the measure of the rounded network."""
        measure = self._accuracy if self.measure == "accuracy" else self.loss
        found: Params = {}
        if self.measure == "accuracy":
            found[f"{part}_accuracy"] = measure(params, carried, batch)
        if self.counts:
            z, y = self._outputs(params, carried, batch), batch["y"]
            found[f"{part}_{HITS}"] = self.cost.hits(z, y).to(z.dtype) / len(y)
        if self.rounding:
            with self.rounding.switched_on():
                found[f"{part}_quantized_{self.measure}"] = measure(params, carried, batch)
        return found

    def _accuracy(self, params: Params, carried: Params, batch: Batch) -> Tensor:
        z = self._outputs(params, carried, batch)
        right, counted = self.cost.right(z, batch["y"]).to(z.dtype).flatten(1).sum(1)
        return cast("Tensor", right / counted)

    def _outputs(self, params: Params, carried: Params, batch: Batch) -> Tensor:
        z, _ = self.module(params, carried, batch["x"], training=False)
        return cast("Tensor", z)

    def _each(self, function: Callable[..., Any], params: Params, batch: Batch) -> Any:
        if self.mapping.steady and self.module.recurrent:
            function = as_differentiated(function)
        return super()._each(function, params, batch)

    def _begin(self, lane: int) -> None:
        super()._begin(lane)
        self.module.begin(self.lanes.seeds[self.lanes.seed[lane]], self.step)


def _count(batch: Batch) -> int:
    """Return the number of examples of a batch that all trials share."""
    return len(next(iter(batch.values()))) if batch else 1


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
