"""The coefficients of one trial's linear model as CSV, in the units of the data file.

The scaling of the features is undone: a prediction is the intercept and the sum of coefficient
times feature, of the numbers as the data file has them. A column of categories is one feature of 0
and 1 for each of them, column=category. Of several classes each has rows of its own; of two, the
rows are those of the class that a prediction above 0 speaks for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.datasets.described import described
from gdcli.datasets.images import Classified
from gdcli.datasets.out_of_core import Streamed
from gdcli.datasets.sparse import Sparse
from gdcli.datasets.split import rescaled, scaling
from gdcli.datasets.tabular import Source, TwoClasses
from gdcli.engine.examples import examples_of, load
from gdcli.errors import UserError
from gdcli.exports.exporter import WeightsExporter
from gdcli.numbers import csv_line
from gdcli.problem import Array, LinearModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial
    from gdcli.studies.training import Weights

INTERCEPT = "(intercept)"


class ToCoefficients(WeightsExporter):
    """A CSV file."""

    endings = (".csv",)
    printed = True

    def check(self, trial: Trial) -> None:
        """Raise UserError for a trial that is not a linear model of a table's columns."""
        problem = trial.problem
        if not isinstance(problem, LinearModel):
            what = f"coefficients are of linear models, and {name_of(problem)} is none"
            raise UserError("--to", what, "give --to npz")
        _scaling(trial)
        _features(trial)

    def content(self, weights: Weights) -> bytes:
        """Return the file."""
        return "".join(_lines(weights)).encode()


def _lines(weights: Weights) -> Iterator[str]:
    trial = weights.trial
    size, origin, unit = _scaling(trial)
    weight, bias = (weights.params[name].astype(float) for name in ("weight", "bias"))
    slopes = weight / unit[:, None]
    intercepts = bias - origin @ slopes
    features, classes = _features(trial), _classes(trial)
    yield csv_line([*(["class"] if classes else []), "feature", "coefficient"])
    for place, (intercept, column) in enumerate(
        zip(intercepts.tolist(), (slopes / size[:, None]).T.tolist(), strict=True)
    ):
        first = [classes[place]] if classes else []
        yield csv_line([*first, INTERCEPT, repr(intercept)])
        for feature, coefficient in zip(features, column, strict=True):
            yield csv_line([*first, feature, repr(coefficient)])


def _scaling(trial: Trial) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return size, origin and unit of each feature; raises UserError where they are not known.

    What the problem trains on must be what comes of the same columns unscaled.
    """
    problem, x = trial.problem, examples_of(trial).train["x"]
    if isinstance(x, Streamed):
        found = x.magnitude, x.origin, x.unit
    elif isinstance(problem, Source):
        raw = replace(problem, scale="none")  # type: ignore[call-arg]
        plain = load(raw, trial.training.data_seed).train["x"]
        size, origin, unit = found = scaling(plain, problem.scale)
        if plain.shape != x.shape or not _equal(rescaled(plain, size, origin, unit), x):
            raise _unknown(problem)
    else:
        raise _unknown(problem)
    width = x.shape[1]
    size, origin, unit = (np.broadcast_to(np.asarray(part, float), (width,)) for part in found)
    return size, origin, unit


def _equal(one: Array, other: Array) -> bool:
    """Return whether two matrices of features, sparse or not, are the same."""
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        pairs = (
            (one.starts, other.starts),
            (one.columns, other.columns),
            (one.values, other.values),
        )
        return all(np.array_equal(*pair) for pair in pairs)
    return np.array_equal(one, other)


def _features(trial: Trial) -> tuple[str, ...]:
    """Return the names of the features; raises UserError where they are not known."""
    data = examples_of(trial)
    width = data.train["x"].shape[1]
    found = described(trial.problem, data, _targets(trial)).features
    if not found and isinstance(trial.problem, Source) and trial.problem.data is None:
        return tuple(f"x{i}" for i in range(width))
    if len(found) != width:
        raise _unknown(trial.problem)
    return found


def _classes(trial: Trial) -> tuple[str, ...]:
    """Return which class each prediction is of; none of a measurement."""
    problem, targets = trial.problem, _targets(trial)
    if not isinstance(problem, Classified | TwoClasses):
        return ()
    data = examples_of(trial)
    outputs = int(data.train["y"].shape[1])
    count = max(2, outputs)
    names = described(problem, data, targets).classes or tuple(map(str, range(count)))
    return names if outputs > 1 else names[1:]


def _targets(trial: Trial) -> Array:
    """Return the training examples' classes, or the measurements, (examples,)."""
    y = examples_of(trial).train["y"]
    if not isinstance(trial.problem, Classified | TwoClasses):
        return y[:, 0]
    return (y[:, 0] if y.shape[1] == 1 else y.argmax(1)).astype("int64")


def _unknown(problem: object) -> UserError:
    what = f"the features of {name_of(problem)} are not known to be a table's columns"
    return UserError("--to", what, "give --to npz, which has the weights as they are")
