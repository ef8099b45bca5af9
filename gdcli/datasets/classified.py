"""Examples of several classes: a named table, a named set of images, or a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from gdcli.datasets.classes import tell_absent
from gdcli.datasets.images import SETS, read_images
from gdcli.datasets.source import Source
from gdcli.datasets.split import divided, scaled
from gdcli.datasets.stratified import Stratified
from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.problem import Batch, Data, OfClasses

if TYPE_CHECKING:
    import numpy as np

Name: TypeAlias = Literal[
    "digits", "iris", "wine", "breast-cancer", "fashion-mnist", "mnist", "cifar10"
]


@dataclass(frozen=True)
class Classified(Source, Stratified, OfClasses):
    """The options of a problem with classes: --dataset may name a set of images, too.

    A set of images has a test part of its own, which is used, and each pixel is a feature.
    """

    dataset: Annotated[Name, "named data set"] = "digits"
    data_dir: Annotated[
        Path | None, LATER, "folder of the files of mnist, fashion-mnist or cifar10"
    ] = None

    def __post_init__(self) -> None:
        """Raise UserError for options that do not go together."""
        super().__post_init__()
        if self.data_dir is not None and (self.data is not None or self.dataset not in SETS):
            own = "the file of --data" if self.data else f"{self.dataset}, which travels with gdcli"
            what = f"{show(str(self.data_dir))} is not looked into for {own}"
            raise UserError("--data-dir", what, "leave it out, or add --dataset mnist")
        whole = self.dataset if self.data is None and self.dataset in SETS else None
        self.check_stratified(whole, self.test_fraction)

    def load_classes(self, rng: np.random.Generator) -> Data:
        """Return the split set: features, scaled, and classes, (examples,) int64."""
        if self.data is None and self.dataset in SETS:
            train, test = map(_as_rows, read_images(self.dataset, self.data_dir))
            return scaled(train, test if self.test_fraction else {}, self.scale)
        x, classes = self.classified()
        both = self.drawn(classes, self.test_fraction, rng)
        data = divided(x, classes.places, both, self.scale)
        tell_absent(data, classes, stratified=self.stratify)
        return replace(data, classes=classes.names)


def _as_rows(part: Batch) -> Batch:
    """Return images as rows of numbers."""
    return {**part, "x": part["x"].reshape(len(part["x"]), -1).astype(float)}
