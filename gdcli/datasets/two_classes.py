"""Examples of two classes: a named set, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from gdcli.datasets.stratified import Stratified
from gdcli.datasets.streamable import Streamable
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Data, OfClasses

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TwoClasses(Streamable, Stratified, OfClasses):
    """The options of a problem with two classes, and the reading of its examples.

    Of breast-cancer's classes 0 is malignant; of a column's two values the larger one is 1.
    """

    dataset: Annotated[Literal["breast-cancer"], "named data set"] = "breast-cancer"

    def __post_init__(self) -> None:
        """Raise UserError for options that do not go together."""
        super().__post_init__()
        self.check_stratified(None, self.test_fraction)

    def load_classes(self, rng: np.random.Generator) -> Data:
        """Return the split set: features, scaled, and targets 0 or 1, (examples, 1)."""
        x, classes = self.classified()
        if (count := len(classes.names)) > 2:
            first = ", ".join(map(show, classes.names[:3]))
            which = f"{first}{', ...' if count > 3 else ''}"
            what = f"column {show(self.predicted)} has {count} different values, not two: {which}"
            fix = "choose another, or run softmax-regression"
            if self.test_data is not None:
                what = f"--data and --test-data have {count} classes together, not two: {which}"
                fix = f"write them alike in both, {fix}"
            raise UserError("--target", what, fix)
        y = classes.places[:, None].astype(float)
        return self.split(x, y, classes, (self.test_fraction, self.scale), rng)
