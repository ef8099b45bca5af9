"""The examples of a trial's problem, and the weights of rare classes among them.

The loss is the mean of weight times cost over the examples. It is divided by the number of
examples; torch's CrossEntropyLoss divides by the sum of their weights. Over all training examples
both are the same. Over a batch, the mean over the examples has the right expectation, and parts of
the examples add up. The mean recall over all classes is measured with the same counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.datasets.cells import collected
from gdcli.datasets.contents import Stamp, stamp_of
from gdcli.datasets.out_of_core import Streamed, whole_of
from gdcli.datasets.sparse import Sparse
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.problem import Array, Data, LinearModel, Network, OfClasses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial
    from gdcli.problem import Batch, Problem

MOST_HELD = 8  # problems whose examples stay in memory


def examples_of(trial: Trial) -> Data:
    """Return a trial's examples, which depend on its problem and its data seed alone."""
    return load(trial.problem, trial.training.data_seed)


def take(trial: Trial, data: Data) -> None:
    """Use a trial's examples as the parent process has read them."""
    key = trial.problem, trial.training.data_seed
    _TAKEN[key], _SAID[key] = data, ()  # the parent has printed the notes


def is_streamed(data: Data) -> bool:
    """Return whether some of the examples stay on disk."""
    arrays = (array for part in (data.train, data.test) for array in part.values())
    return any(isinstance(array, Streamed) for array in arrays)


def stamp_when_read(trial: Trial) -> Stamp | None:
    """Return the stamp that a trial's --data had before this process read it."""
    return _STAMPS.get((trial.problem, trial.training.data_seed))


def notes_of(trials: Iterable[Trial]) -> list[str]:
    """Return the notes on reading the examples of trials, each line once."""
    asked = {(trial.problem, trial.training.data_seed): None for trial in trials}
    for one in asked:
        if one not in _SAID:
            load(*one)
    return list(dict.fromkeys(line for one in asked for line in _SAID[one]))


_SAID: dict[tuple[Problem, int], tuple[str, ...]] = {}  # of examples that were read
_STAMPS: dict[tuple[Problem, int], Stamp | None] = {}  # of the files that they were read from
_TAKEN: dict[tuple[Problem, int], Data] = {}


@lru_cache(
    maxsize=MOST_HELD
)  # a grid over problem options has one data set for each; they come in order
def load(problem: Problem, data_seed: int) -> Data:
    """Return a problem's examples for a data seed, read or drawn once."""
    if (problem, data_seed) in _TAKEN:
        return _TAKEN[problem, data_seed]
    file = getattr(problem, "data", None)
    _STAMPS[problem, data_seed] = stamp_of(file) if isinstance(file, Path) else None
    # Extreme data may overflow: the run shows what follows.
    with np.errstate(all="ignore"), collected() as notes:
        data = problem.load(stream(name_of(problem), data_seed, "data"))
    _check(problem, data)
    _SAID[problem, data_seed] = tuple(notes)
    return data


def _check(problem: Problem, data: Data) -> None:
    """Raise UserError for a user's `load` that returned no valid examples."""
    fix = (
        "mend `load`: Data(train, test), each a dict of NumPy arrays by name, as long as each other"
    )
    if not isinstance(data, Data):
        raise UserError(name_of(problem), f"its `load` returns {type(data).__name__}", fix)
    for which, part in (("training", data.train), ("test", data.test)):
        for name, array in part.items():
            if not isinstance(array, np.ndarray | Streamed | Sparse):
                what = f'"{name}" of its {which} examples is {type(array).__name__}, and no array'
                raise UserError(name_of(problem), what, fix)
        counts = {name: len(array) for name, array in part.items()}
        if len(set(counts.values())) > 1:
            said = ", ".join(f'"{name}" has {count}' for name, count in counts.items())
            raise UserError(name_of(problem), f"of its {which} examples {said}", fix)
    if isinstance(problem, Network):
        wanted = {"x"} | data.train.keys() & {"y"}
        for which, part in (("training", data.train), ("test", data.test)):
            lacks = sorted(wanted - part.keys())
            if part and lacks:
                raise UserError(name_of(problem), f'its {which} examples have no "{lacks[0]}"', fix)


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
