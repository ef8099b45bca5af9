"""Fill in a table of ratings of which some are known: synthetic, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from gdcli.datasets.features import read_ratings
from gdcli.datasets.reading import TEST_FRACTION, Reading
from gdcli.datasets.split import keeps_test_part, parts
from gdcli.errors import UserError
from gdcli.fields import LATER
from gdcli.problem import Array, Batch, Data, Params, Problem

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MatrixFactorization(Problem, Reading):
    """Half the mean squared error of left_i . right_j (Koren, Bell and Volinsky, Computer 2009).

    With --data, the column --target has the ratings, and the two other columns name the row and
    the column of each rating. Without it the ratings are synthetic: the product of two normal
    factors of the given rank, scaled to variance 1, plus normal noise. A random part `density` of
    the entries is known. The loss is not convex, since the factors can be exchanged, scaled and
    rotated, but with enough known ratings it has no bad local minimum; 0 is a saddle point.
    """

    rows: Annotated[int, "rows of the synthetic table", Ge(1)] = 50
    columns: Annotated[int, "columns of the synthetic table", Ge(1)] = 40
    rank: Annotated[int, "rank of the synthetic table and of the factors", Ge(1)] = 3
    density: Annotated[float, "share of the synthetic table that is known", Gt(0), Le(1)] = 0.4
    noise: Annotated[float, "standard deviation of the noise of the synthetic ratings", Ge(0)] = 0.1
    test_fraction: Annotated[
        float, "share of the known ratings that is held out for testing", Ge(0), Lt(1)
    ] = TEST_FRACTION
    l2: Annotated[
        float,
        "strength of the L2 penalty: l2 / 2 times the sum of the squared factors is added to "
        "the loss",
        Ge(0),
    ] = 0.0
    init_scale: Annotated[float, "standard deviation of the random starting factors", Ge(0)] = 0.3
    data: Annotated[Path | None, LATER, "file of ratings to use instead of synthetic ones"] = None
    target: Annotated[str | None, LATER, "column of --data that holds the ratings"] = None

    default_lr: ClassVar[float] = 5.0
    default_epochs: ClassVar[int] = 300

    def __post_init__(self) -> None:
        """Raise UserError if only one of --data and --target is given."""
        if (self.data is None) != (self.target is None):
            given, other = ("--data", "--target") if self.data else ("--target", "--data")
            raise UserError(given, f"it needs {other}", f"add {other}")
        self.check_reading(self.data, self.test_fraction)
        if self.categorical is not None:
            what = "both other columns are always categories"
            raise UserError("--categorical", what, "leave it out")
        if self.missing == "mean":
            raise UserError("--missing", "a mean cannot replace a rating", "give drop, or error")

    def load(self, rng: np.random.Generator) -> Data:
        """Return "row" and "column", int64, and "rating", float64: each (examples,).

        Raises UserError if no rating is left for training.
        """
        if self.data and self.target:
            ratings, both = read_ratings(self.data, self.target, self)
            if both.test is None:
                train, test = parts(len(ratings["rating"]), self.test_fraction, rng)
            else:
                train, test = both.places()
                if not keeps_test_part(self.test_fraction, str(self.data), both.said):
                    test = test[:0]
            return Data(
                *({k: v[p] for k, v in ratings.items()} if len(p) else {} for p in (train, test))
            )
        return self._synthetic(rng)

    def _synthetic(self, rng: np.random.Generator) -> Data:
        left, right = (
            rng.standard_normal((self.rows, self.rank)),
            rng.standard_normal((self.columns, self.rank)),
        )
        truth = left @ right.T / self.rank**0.5
        places = self.rows * self.columns
        seen = round(self.density * places)
        held_out = round(self.test_fraction * seen)
        if held_out >= seen:
            what = f"{self.density:g} of {places} places leaves no rating for training"
            raise UserError("--density", what, "give a larger part")
        place = rng.permutation(places)[:seen]
        row, column = place // self.columns, place % self.columns
        rating = truth[row, column] + self.noise * rng.standard_normal(seen)
        entries = {"row": row, "column": column, "rating": rating}
        train = {name: values[held_out:] for name, values in entries.items()}
        test = {name: values[:held_out] for name, values in entries.items()}
        return Data(train, test if held_out else {})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return normal factors: left (rows, rank) and right (columns, rank)."""
        rows, columns = self._size(data)
        left = self.init_scale * rng.standard_normal((rows, self.rank))
        right = self.init_scale * rng.standard_normal((columns, self.rank))
        return {"left": left, "right": right}

    def _size(self, data: Data) -> tuple[int, int]:
        """Return the numbers of rows and columns, including those without a training rating."""
        if self.data is None:
            return self.rows, self.columns
        both = [part for part in (data.train, data.test) if part]
        return (
            1 + max(int(part["row"].max()) for part in both),
            1 + max(int(part["column"].max()) for part in both),
        )

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return half the mean squared error over the batch's ratings, plus the penalty."""
        left, right = params["left"], params["right"]
        residual = (left[batch["row"]] * right[batch["column"]]).sum(-1) - batch["rating"]
        penalty = self.l2 * (left.square().sum() + right.square().sum())
        return 0.5 * (residual.square().mean() + penalty)
