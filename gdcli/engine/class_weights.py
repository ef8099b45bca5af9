"""Rare classes: their weights in the loss, and the mean recall over all classes.

The loss is the mean of weight times cost over the examples. It is divided by the number of
examples; torch's CrossEntropyLoss divides by the sum of their weights. Over all training examples
both are the same. Over a batch, the mean over the examples has the right expectation, and parts of
the examples add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.datasets.out_of_core import whole_of
from gdcli.problem import Array, LinearModel, OfClasses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gdcli.problem import Batch, Data, Problem

BALANCED = "balanced_accuracy"  # its column, after the name of the part
HITS = (
    "hits"  # how many examples of each class are right, until they are divided by all of the class
)


def classes_in(part: Batch) -> NDArray[np.int64]:
    """Return the class of each target, flat; targets that do not count are left out.

    Targets are class indices, negative where they do not count, or rows of 0 and 1: one-hot, or a
    single column.
    """
    if not part:
        return np.array([], np.int64)
    y = np.asarray(part["y"])
    if y.dtype.kind == "f":
        y = y.argmax(1) if y.shape[1] > 1 else y[:, 0] > 0.5
    flat: NDArray[np.int64] = np.ravel(y).astype(np.int64)
    return flat[flat >= 0]


def class_counts(part: Batch, classes: int = 0) -> NDArray[np.int64]:
    """Return how many examples of a part each class has; at least `classes` classes are counted."""
    found: NDArray[np.int64] = np.bincount(classes_in(part), minlength=classes)
    return found


def class_weights(problem: Problem, data: Data, classes: int = 0) -> NDArray[np.float64] | None:
    """Return the weight of an example of each class in the loss; None: all weights are 1.

    As scikit-learn's class_weight="balanced": n / (classes x examples of the class), from the
    classes in the training part (King and Zeng 2001). A class without a training example has weight
    1. There are at least `classes` weights, since a network may have more outputs than there are
    classes.
    """
    if not (isinstance(problem, OfClasses) and problem.weighs):
        return None
    whole = whole_of(data)
    there = 1 + max(int(classes_in(part).max(initial=0)) for part in (whole.train, whole.test))
    counts = class_counts(whole.train, max(there, classes))
    present = counts > 0
    weights = np.ones(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def weighted(
    problem: LinearModel, data: Data, place: Callable[[Any], Array] = np.asarray
) -> LinearModel:
    """Return a linear model whose costs have the weights of the classes, if it asks for them.

    `place` moves the weights to the device of the predictions.
    """
    weights = class_weights(problem, data)
    if weights is None:
        return problem
    return Weighted(l2=problem.l2, model=problem, weights=place(weights))


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(LinearModel):
    """A linear model whose cost at an example is multiplied by the weight of its class."""

    model: LinearModel
    weights: Array  # of each class

    @property
    def convex(self) -> bool:
        """Whether the model's cost is convex."""
        return self.model.convex

    def of_each(self, y: Array) -> Array:
        """Return the weight of each example, shape (..., 1, columns), from its targets."""
        xp = namespace(y)
        if y.shape[-2] == 1:
            return xp.where(y > 0.5, self.weights[1], self.weights[0])
        return (self.weights @ y)[..., None, :]  # a sum of one number and of zeros: exact

    def cost(self, z: Array, y: Array) -> Array:
        """Return the weighted costs."""
        return self.of_each(y) * self.model.cost(z, y)

    def slope(self, z: Array, y: Array) -> Array:
        """Return the weighted slopes."""
        return self.of_each(y) * self.model.slope(z, y)

    def bending(self, z: Array, y: Array, along: Array) -> Array | None:
        """Return the weighted derivative, where the model has it."""
        bent = self.model.bending(z, y, along)
        return None if bent is None else self.of_each(y) * bent

    def probabilities(self, z: Array) -> Array | None:
        """Return the model's probabilities."""
        return self.model.probabilities(z)

    def scores(self, z: Array, y: Array) -> dict[str, Array]:
        """Return the model's scores, which are not weighted."""
        return self.model.scores(z, y)

    def assess(self, z: Array, y: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return weighted cost and slope, and the scores."""
        cost, slope, scores = self.model.assess(z, y)
        each = self.of_each(y)
        return each * cost, each * slope, scores


def hits(right: Array, y: Array) -> Array:
    """Return `right` in the row of each example's class, shape (..., classes, columns).

    right: (..., columns), 1 or 0; y: (..., outputs, columns) of 0 and 1.
    """
    right = right[..., None, :]
    if y.shape[-2] > 1:
        return right * y
    return namespace(y).concat([right * (1 - y), right * y], axis=-2)


def balanced(hit: Array, counts: NDArray[np.int64]) -> Array:
    """Return the mean recall of the classes that there are (sklearn's balanced_accuracy_score).

    hit: (..., classes, trials), how many of each class are right; the classes may be more than are
    counted.
    """
    present = [int(i) for i in np.flatnonzero(counts)]
    recalls = [hit[..., i, :] / int(counts[i]) for i in present]
    return sum(recalls[1:], recalls[0]) / len(recalls)


def counts_of(data: Data) -> dict[str, NDArray[np.int64]]:
    """Return how many examples of each class both parts have."""
    return {"train": class_counts(data.train), "test": class_counts(data.test)}


def recalled(
    values: dict[str, Array], counts: Mapping[str, NDArray[np.int64]], data: Data
) -> dict[str, Array]:
    """Replace the numbers of right examples by the mean recall over the classes.

    The numbers, (..., classes), may be sums over parts of the examples; an example may have several
    targets.
    """
    found = dict(values)
    for part, of_each in counts.items():
        if (share := found.pop(f"{part}_{HITS}", None)) is not None:
            xp = namespace(share)
            # A mean of parts is rounded.
            whole = xp.round(share * len(getattr(data, part)["y"]))
            found[f"{part}_{BALANCED}"] = balanced(whole[..., None], of_each)[..., 0]
    return found
