"""Fully connected network: digits, iris, wine, breast-cancer, images, or a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from gdcli.datasets.cells import count_classes, mostly_apart, note, number
from gdcli.datasets.described import FEW, is_measured
from gdcli.datasets.images import Classified
from gdcli.datasets.reading import Reading, own_target
from gdcli.datasets.split import FeatureScale, prepare
from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.problem import Data, Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Mlp(Network, Classified):
    """A multilayer perceptron (Rumelhart, Hinton and Williams 1986).

    It predicts a class (with the cross-entropy) or a number (with the mean squared error). With
    `auto` it predicts a number if --target has more than 20 different numbers, and they are not
    all whole or fewer than 5 rows on average share one; otherwise a class. Numbers are not scaled.
    """

    scale: FeatureScale = "minmax"
    hidden: Annotated[tuple[int, ...], "width of each hidden layer", Ge(1)] = (64,)
    activation: Annotated[
        Literal["relu", "tanh", "sigmoid", "gelu"], "function after each hidden layer"
    ] = "relu"
    initial: Annotated[
        Literal["torch", "glorot"],
        LATER,
        "range of the random starting weights: torch, 1 / sqrt(inputs); glorot, sqrt(6 / "
        "(inputs + outputs))",
    ] = "torch"
    task: Annotated[
        Literal["auto", "classification", "regression"],
        LATER,
        "predict a class (classification) or a number (regression, by the mean squared error); "
        "auto: as the values of --target suggest",
    ] = "auto"

    default_lr: ClassVar[float] = 0.3
    default_epochs: ClassVar[int] = 200

    def __post_init__(self) -> None:
        """Raise UserError for options that exclude each other."""
        if self.task == "classification":
            object.__setattr__(self, "task", "auto")  # equal to an undecided auto: one trial
        if self.regresses:
            self._check_no_classes()
        super().__post_init__()
        if not self.regresses:
            return
        if self.data is None:
            what = f"{self.dataset} has classes, not numbers to predict"
            raise UserError("--task", what, "add --data FILE and --target COLUMN, or leave it out")

    def _check_no_classes(self) -> None:
        """Raise UserError for an option about classes if the task is regression."""
        given = {
            "--stratify": self.stratify,
            "--class-weights": self.weighs,
            "--balanced-accuracy": self.balanced_accuracy,
        }
        for option, there in given.items():
            if there:
                what = "the task is regression, which has no classes"
                raise UserError(option, what, "leave it out, or give --task classification")

    @classmethod
    def decided(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the task that the target of a file suggests, if --task is auto."""
        file = options.get("data")
        if "task" in options or file is None:
            return {}
        reading = Reading(**{f.name: options[f.name] for f in fields(Reading) if f.name in options})
        target = options.get("target") or own_target(file, reading)
        measured = target is not None and is_measured(file, target, reading)
        return {"task": "regression"} if measured else {}

    @property
    def regresses(self) -> bool:
        """Whether the task is to predict a number."""
        return self.task == "regression"

    @property
    def criterion(self) -> str:  # type: ignore[override]
        """The mean squared error for a number, the cross-entropy for a class."""
        return "mse" if self.regresses else "cross_entropy"

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features and targets.

        Targets are classes, (examples,) int64, or numbers, (examples, 1).
        """
        if not self.regresses:
            data = self.load_classes(rng)
            self._tell_numbers(data)
            return data
        x, y = self.measured()
        what = f"{self.data}: column {show(self.predicted)} is predicted as a number"
        note(f"{what} (mean squared error); --task classification treats each value as a class")
        return prepare(x, y[:, None], self.test_fraction, self.scale, rng)

    def _tell_numbers(self, data: Data) -> None:
        """Note that many different numbers are treated as classes, which may not be meant."""
        count = len(data.classes)
        rows = sum(len(part["y"]) for part in (data.train, data.test) if part)
        if mostly_apart(count, rows):
            return  # another note says so already
        if (
            self.data is not None
            and count > FEW
            and all(number(name) is not None for name in data.classes)
        ):
            what = f"{self.data}: column {show(self.predicted)} has {count} different numbers"
            note(f"{what}, each a class; --task regression predicts the number")

    def module(self, data: Data) -> nn.Module:
        """Return linear layers with activations between them."""
        from torch import nn

        kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
        width, layers = data.train["x"].shape[1], list[nn.Module]()
        for wider in self.hidden:
            layers += [nn.Linear(width, wider), kinds[self.activation]()]
            width = wider
        outputs = 1 if self.regresses else count_classes(data)
        return nn.Sequential(*layers, nn.Linear(width, outputs))

    def bound(self, fan_in: int, fan_out: int) -> float:
        """Return the bound of the starting weights and biases (glorot: Glorot and Bengio 2010)."""
        if self.initial == "torch":
            return super().bound(fan_in, fan_out)
        return math.sqrt(6 / (fan_in + fan_out))
