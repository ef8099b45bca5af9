"""Linear models: weights of shape (groups, tiles, features + 1, outputs * width).

The bias is the last row of the weights; its feature is a column of ones. The trials of a group see
the same batch (they have one seed, or each step has all examples), so one matrix product serves
`width` of them. Predictions have shape (..., outputs, examples * width): examples lie side by side,
so elementwise work and the sums over outputs run along long rows.

Trials are always the last axis of a product: on other axes their bits depended on their place.
`width` is the number of trials that a step multiplies at a time. A pass over all examples
multiplies at most eight trials, the pass width, so that their predictions fit a cache: for such a
pass the weights are cut into groups of (tiles, features + 1, outputs * pass width).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.datasets.out_of_core import Streamed, add_to, parts
from gdcli.engine.device import NumPy
from gdcli.engine.examples import BALANCED, HITS, balanced, class_counts, hits, weighted
from gdcli.engine.layout import NARROWEST
from gdcli.engine.programs.program import (
    CHUNK,
    Evaluation,
    ExampleLosses,
    Program,
    derivative_along,
)
from gdcli.problem import Array, Batch, Data, LinearModel, OfClasses, Params, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.layout import TrialLayout
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer, Stepper


class LinearModelProgram(Program):
    """Predictions by matrix products; the problem computes costs and slopes."""

    problem: LinearModel
    description = "linear model"
    convex = True

    def __init__(
        self, problem: LinearModel, data: Data, layout: TrialLayout, device: Device
    ) -> None:
        """Move the data to the device, in the layout of the products."""
        super().__init__(problem, data, layout, device)
        self.model, self.width = weighted(problem, data, device.array), layout.shape[-1]
        self.recalls = isinstance(problem, OfClasses) and problem.recalls
        self.pass_width = min(self.width, NARROWEST)
        self.outputs = data.train["y"].shape[1]
        self._place_examples()

    def _place_examples(self) -> None:
        """Add the bias's feature, and put the targets of a pass side by side."""
        self.train, self.test = with_ones(self.train), with_ones(self.test)
        if not self.streamed:
            self.all_train, self.all_test = map(self._side_by_side, (self.train, self.test))

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return {"weight": (groups, tiles, features + 1, outputs * width)}."""
        weights = np.stack([np.vstack([start["weight"], start["bias"]]) for start in starts])
        each = np.moveaxis(weights[self.layout.seed], 2, -1)
        return {"weight": self.device.array(each.reshape(*each.shape[:3], -1))}

    def by_trial(self, params: Params) -> dict[str, NDArray[np.floating]]:
        """Return {"weight": (trials, features, outputs), "bias": (trials, outputs)}."""
        held = self.device.host(params["weight"])
        held = held.reshape(*held.shape[:-1], self.outputs, self.width)
        rows = np.moveaxis(held, -1, 2).reshape(-1, *held.shape[2:4])[self.layout.place]
        return {"weight": rows[:, :-1], "bias": rows[:, -1]}

    def _side_by_side(self, part: Batch) -> Batch:
        """Return a part with its targets in the layout of a pass's predictions."""
        return {**part, "y": repeated(part["y"], self.pass_width)} if part else part

    @property
    def constant_hessian(self) -> bool:
        """Whether the costs are squares."""
        return self.problem.squared

    def stepper(self, optimizer: StackedOptimizer, orders: Orders | None) -> Stepper[Any]:
        """Return a stepper that fuses several steps, or the parts of one, into few products."""
        if orders is None or not optimizer.plain or not isinstance(self.device, NumPy):
            return super().stepper(optimizer, orders)
        from gdcli.engine.programs.fused import fused

        return fused(self, optimizer, orders)

    def broadcast(self, values: Array, param: Array) -> Array:
        """Return values with an axis for the features, repeated for each output."""
        return namespace(values).tile(values, (1, 1, self.outputs))[:, :, None, :]

    def sum_per_trial(self, array: Array) -> Array:
        """Return the sum over features and outputs."""
        return array.reshape(*array.shape[:-1], self.outputs, self.width).sum((-3, -2))

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield x (groups, 1, batch, features + 1), y (groups, 1, outputs, batch * width)."""
        places = self.device.array(indices)
        xs = self._gathered(indices, places)[:, :, None]
        ys = repeated(self.train["y"][places], self.width)[:, :, None]
        for x, y in zip(xs, ys, strict=True):
            yield {"x": x, "y": y}

    def _gathered(self, indices: NDArray[np.int64], places: Array) -> Array:
        """Return the features of the training examples at some indices, on the device."""
        x = self.train["x"]
        return self.device.array(x[indices]) if self.streamed else x[places]

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"weight": gradient} of the mean cost and the penalty."""
        weight = params["weight"]
        if batch is not None:
            slope = self.model.slope(self.predictions(batch["x"], weight), batch["y"])
            return {"weight": self._with_penalty(self.pulled(batch["x"], slope), weight)}

        def mean_slope(group: Array, x: Array, y: Array) -> Batch:
            slope = self.model.slope(self.predict(x, group), y)
            return {"gradient": self._slope(x, slope, self.examples)}

        return self._joined(self._sums("train", mean_slope, weight), weight)

    def apart(self, params: Params) -> Params:
        """Return {"weight": (places, features, outputs), "bias": (places, outputs)}."""
        held = params["weight"]
        split = held.reshape(*held.shape[:-1], self.outputs, self.width)
        rows = namespace(held).moveaxis(split, -1, 2).reshape(-1, *split.shape[2:4])
        return {"weight": rows[:, :-1], "bias": rows[:, -1]}

    def together(self, apart: Params) -> Params:
        """Return {"weight": (groups, tiles, features + 1, outputs * width)}."""
        xp, weight = namespace(apart["weight"]), apart["weight"]
        rows = xp.concat([weight, apart["bias"][:, None]], axis=1)
        split = xp.moveaxis(rows.reshape(*self.layout.shape, *rows.shape[1:]), 2, -1)
        return {"weight": split.reshape(*split.shape[:3], -1)}

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Array, Params]:
        """Return the mean cost with the penalty, and {"weight": gradient}."""
        weight = params["weight"]
        if batch is None:
            sums = self._sums("train", self._measures, weight)
            return self._means("train", sums, weight)["train_loss"], self._joined(sums, weight)
        cost, slope, _ = self.model.assess(self.predictions(batch["x"], weight), batch["y"])
        loss = self._mean_cost(cost) + self.penalty(weight)
        return loss, {"weight": self._with_penalty(self.pulled(batch["x"], slope), weight)}

    def predictions(self, x: Any, weight: Array) -> Array:
        """Return those of a batch, (groups, tiles, outputs, batch * width)."""
        return self.predict(x, weight)

    def pulled(self, x: Any, slope: Array) -> Array:
        """Return the gradient of the mean cost, given the slopes of a batch's predictions."""
        return self._slope(x, slope, x.shape[-2])

    def batch_loss(self, params: Params, batch: Any) -> Array:
        """Return the mean cost with the penalty."""
        weight = params["weight"]
        if batch is None:

            def measures(group: Array, x: Array, y: Array) -> Batch:
                return self._measures(group, x, y, slopes=False)

            sums = self._sums("train", measures, weight)
            return self._means("train", sums, weight)["train_loss"]
        cost = self.model.cost(self.predictions(batch["x"], weight), batch["y"])
        return self._mean_cost(cost) + self.penalty(weight)

    def _mean_cost(self, cost: Array) -> Array:
        """Return the mean of costs, (groups, tiles, outputs, batch * width), over the batch."""
        total = cost.sum(-2)
        count = total.shape[-1] // self.width
        return total.reshape(*total.shape[:-1], count, self.width).sum(-2) / count

    def example_slopes(self, params: Params, batch: Any) -> Array:
        """Return the slope of each example's cost, (places, examples, outputs); None: of all."""
        return self._of_examples(self.model.slope, params, batch)

    def _of_examples(
        self, function: Callable[[Array, Array], Array], params: Params, batch: Any
    ) -> Array:
        """Return a function of predictions and targets, (places, examples, outputs)."""
        weight = params["weight"]
        if batch is not None:
            found = function(self.predictions(batch["x"], weight), batch["y"])
            return self._places_first(found, self.width)
        groups = list(self._groups(weight))
        values: list[list[Array]] = [[] for _ in groups]
        for x, y in self._parts("train"):
            for group, held in zip(groups, values, strict=True):
                found = function(self.predict(x, group), y)
                held.append(self._places_first(found, self.pass_width))
        xp = namespace(weight)
        return xp.concat([xp.concat(held, axis=1) for held in values])

    def gauss_newton_diagonal(self, params: Params, batch: Any) -> Params:
        """Return {"weight": estimate}, from labels drawn from the probabilities."""
        z = self._of_examples(lambda z, _: z, params, batch).mT
        xp, examples = namespace(z), z.shape[-1]
        likely: Array = self.model.probabilities(z)
        classes = likely.shape[-2]
        race = likely / self.drawn((examples, classes)).mT
        winner = xp.argmax(race, axis=-2, keepdims=True)
        # Two classes may have one prediction: that of class 1.
        first = classes - self.outputs
        labels = self.device.array(np.arange(first, classes)[:, None]) == winner
        slopes = self.model.slope(z, xp.asarray(labels, dtype=z.dtype)).mT
        mean = self.mean_gradient(slopes, batch)["weight"]
        return {"weight": self._with_penalty(examples * mean * mean, xp.ones_like(mean))}

    def mean_gradient(self, slopes: Array, batch: Any) -> Params:
        """Return {"weight": mean gradient} of costs with slopes that `example_slopes` returns."""
        xp, examples = namespace(slopes), slopes.shape[1]
        if batch is not None:
            split = slopes.reshape(*self.layout.shape, examples, self.outputs)
            columns = xp.moveaxis(split, (2, 3, 4), (4, 3, 2)).reshape(
                *split.shape[:2], self.outputs, -1
            )
            return {"weight": self.pulled(batch["x"], columns)}
        tiles = slopes.reshape(-1, self.pass_width, examples, self.outputs)
        tiles = xp.moveaxis(tiles, 1, -1).reshape(len(tiles), examples, -1)
        found, first = 0.0, 0
        for x, _ in self._parts("train"):
            found = found + x.mT @ (tiles[:, first : first + len(x)] / self.examples)
            first += len(x)
        return {"weight": self._untiled(found)}

    def _places_first(self, columns: Array, width: int) -> Array:
        """Return values (..., outputs, examples * width) as (places, examples, outputs)."""
        split = columns.reshape(-1, self.outputs, columns.shape[-1] // width, width)
        rows = namespace(columns).moveaxis(split, (3, 1), (1, 3))
        return rows.reshape(-1, *rows.shape[2:])

    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return {"weight": product} of a batch."""
        if batch is None:
            return self.hessian_product(params, direction)
        weight, way, x = params["weight"], direction["weight"], batch["x"]
        z, along = self.predictions(x, weight), self.predictions(x, way)
        return {
            "weight": self._with_penalty(self.pulled(x, self._bending(z, batch["y"], along)), way)
        }

    def gauss_newton_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return the Hessian's product: predictions are linear in the weights."""
        return self.batch_hessian_product(params, direction, batch)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return {"weight": X' (the cost's Hessian times X direction) / n, and the penalty's}."""

        def bent(group: Array, way: Array, x: Array, y: Array) -> Batch:
            slope = self._bending(self.predict(x, group), y, self.predict(x, way))
            return {"gradient": self._slope(x, slope, self.examples)}

        way = direction["weight"]
        return self._joined(self._sums("train", bent, params["weight"], way), way)

    def _bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return the cost's Hessian in z times a direction: the problem's, or by differences."""
        exact = self.model.bending(z, y, along)
        if exact is not None:
            return exact
        return derivative_along(lambda moved: self.model.slope(moved, y), z, along)

    def flatten(self, params: Params) -> Array:
        """Return the weights, (groups, tiles, width, (features + 1) * outputs)."""
        held = params["weight"]
        split = held.reshape(*held.shape[:-1], self.outputs, self.width)
        return namespace(held).moveaxis(split, -1, 2).reshape(*self.layout.shape, -1)

    def unflatten(self, vectors: Array, params: Params) -> Params:
        """Return {"weight": (groups, tiles, features + 1, outputs * width)}."""
        split = vectors.reshape(*self.layout.shape, -1, self.outputs)
        weight = namespace(vectors).moveaxis(split, 2, -1)
        return {"weight": weight.reshape(params["weight"].shape)}

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and scores on all training and test examples."""
        weight = params["weight"]
        sums = self._sums("train", self._measures, weight)
        gradient = self._joined(sums, weight)
        values = self._means("train", sums, weight)
        if self.test:

            def measures(group: Array, x: Array, y: Array) -> Batch:
                return self._measures(group, x, y, slopes=False)

            values |= self._means("test", self._sums("test", measures, weight), weight)
        return Evaluation(values | {"grad_norm": self.norm(gradient)}, gradient)

    def per_example(self, params: Params) -> Iterator[ExampleLosses]:
        """Yield the costs, and the probabilities where the model is a classifier."""
        tiles = params["weight"].reshape(-1, *params["weight"].shape[2:])
        for first in range(0, self.examples, CHUNK):
            x, y = (self.train[name][first : first + CHUNK] for name in ("x", "y"))
            z = self.predict(x, tiles)
            cost = self.model.cost(z, repeated(y, self.width)).sum(-2)
            likely = self.model.probabilities(z)
            yield ExampleLosses(
                self._by_place(cost), None if likely is None else self._by_place(likely)
            )

    def _by_place(self, columns: Array) -> Array:
        """Return values (tiles, ..., examples * width) as (*layout, ..., examples)."""
        split = columns.reshape(*columns.shape[:-1], -1, self.width)
        apart = namespace(columns).moveaxis(split, -1, 1)
        return apart.reshape(-1, *apart.shape[2:])

    def _sums(self, part: str, function: Callable[..., Batch], *weights: Array) -> list[Batch]:
        """Return a function's values, summed over a part, for each group of weights."""
        groups = list(zip(*map(self._groups, weights), strict=True))
        sums: list[Batch] = [{} for _ in groups]
        for x, y in self._parts(part):
            for group, held in zip(groups, sums, strict=True):
                add_to(held, function(*group, x, y))
        return sums

    def _parts(self, part: str) -> Iterator[tuple[Array, Array]]:
        """Yield all examples of a part: x, and y in the layout of the predictions."""
        if not self.streamed:
            whole = self.all_train if part == "train" else self.all_test
            yield whole["x"], whole["y"]
            return
        for x, y in parts(self.train if part == "train" else self.test):
            yield self.device.array(x), repeated(y, self.pass_width)

    def _groups(self, weight: Array) -> Iterator[Array]:
        """Yield the groups of weights whose predictions are computed at a time."""
        xp, narrow, features = namespace(weight), self.pass_width, weight.shape[2]
        columns = self.outputs * narrow
        split = weight.reshape(-1, features, self.outputs, self.width // narrow, narrow)
        tiles = xp.moveaxis(split, 3, 1).reshape(-1, features, columns)
        size = max(1, self.device.at_once // (self.examples * columns))
        yield from (tiles[first : first + size] for first in range(0, len(tiles), size))

    def _joined(self, sums: list[Batch], weight: Array) -> Params:
        """Return {"weight": gradient} from the groups' sums, with that of the penalty."""
        tiles = namespace(weight).concat([held["gradient"] for held in sums])
        return {"weight": self._with_penalty(self._untiled(tiles), weight)}

    def _untiled(self, tiles: Array) -> Array:
        """Return the weights of groups, (tiles, features, outputs * pass width), as one array."""
        narrow, features = self.pass_width, tiles.shape[1]
        split = tiles.reshape(-1, self.width // narrow, features, self.outputs, narrow)
        gradient = namespace(tiles).moveaxis(split, 1, 3)
        return gradient.reshape(*self.layout.shape[:2], features, self.outputs * self.width)

    def predict(self, x: Array, weight: Array) -> Array:
        """Return x W, shape (..., outputs, examples * width), of x (..., examples, features)."""
        return self.by_output(x @ weight)

    def by_output(self, z: Array) -> Array:
        """Return (..., examples, outputs * width) as (..., outputs, examples * width)."""
        axes, examples = z.shape[:-2], z.shape[-2]
        split = z.reshape(*axes, examples, self.outputs, -1).swapaxes(-3, -2)
        return split.reshape(*axes, self.outputs, -1)

    def by_example(self, z: Array, examples: int) -> Array:
        """Return (..., outputs, examples * width) as (..., examples, outputs * width)."""
        axes = z.shape[:-2]
        split = z.reshape(*axes, self.outputs, examples, -1).swapaxes(-3, -2)
        return split.reshape(*axes, examples, -1)

    def _slope(self, x: Array, slope: Array, count: int) -> Array:
        """Return the gradient of the summed cost over a count, of the weight's shape."""
        return x.mT @ self.by_example(slope / count, x.shape[-2])

    def _with_penalty(self, gradient: Array, weight: Array) -> Array:
        if self.model.l2:
            gradient[..., :-1, :] += self.model.l2 * weight[..., :-1, :]
        return gradient

    def _measures(self, weight: Array, x: Array, y: Array, *, slopes: bool = True) -> Batch:
        """Return the summed cost and scores, (tiles, pass width), and the gradient of the mean."""
        cost, slope, scores = self.model.assess(self.predict(x, weight), y)
        found = {name: self._sum(score) for name, score in scores.items()}
        if self.recalls:
            found[HITS] = self._sum(hits(scores["accuracy"], y))
        found["loss"] = self._sum(cost.sum(-2))
        return found | {"gradient": self._slope(x, slope, self.examples)} if slopes else found

    def _sum(self, columns: Array) -> Array:
        """Return the sum over the examples, of values (tiles, examples * pass width)."""
        return columns.reshape(*columns.shape[:-1], -1, self.pass_width).sum(-2)

    def _means(self, part: str, sums: list[Batch], weight: Array) -> dict[str, Array]:
        """Return the mean loss, with the penalty, and scores of a part, of the layout's shape."""
        xp, count = namespace(weight), len(getattr(self, part)["x"])
        found = [held.pop(HITS) for held in sums if HITS in held]
        shape = self.layout.shape
        means = {
            f"{part}_{name}": xp.concat([held[name] for held in sums]).reshape(shape) / count
            for name in sums[0]
            if name != "gradient"
        }
        if found:
            counts = class_counts(getattr(self.data, part))
            recalled = xp.concat([balanced(hit, counts) for hit in found])
            means[f"{part}_{BALANCED}"] = recalled.reshape(shape)
        means[f"{part}_loss"] += self.penalty(weight)
        return means

    def penalty(self, weight: Array) -> Array:
        """Return the penalty of each trial, of the layout's shape."""
        return 0.5 * self.model.l2 * self.sum_per_trial(weight[..., :-1, :] ** 2)


def of_linear_model(problem: Problem, data: Data) -> tuple[int, float]:
    """Return the predictions of an example and the strength of the penalty; else 0 and 0."""
    if not isinstance(problem, LinearModel):
        return 0, 0.0
    return data.train["y"].shape[1], problem.l2


def repeated(y: Array, width: int) -> Array:
    """Return targets (..., examples, outputs) as (..., outputs, examples * width)."""
    return namespace(y).repeat(y.mT, width, axis=-1)


def with_ones(batch: Batch) -> Batch:
    """Return a part of the data with a column of ones added to x, the bias's feature."""
    if not batch:
        return batch
    x = batch["x"]
    if isinstance(x, Streamed):
        return {**batch, "x": x.with_ones()}
    xp = namespace(x)
    return {**batch, "x": xp.concat([x, xp.ones_like(x[:, :1])], axis=1)}
