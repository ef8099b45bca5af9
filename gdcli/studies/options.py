"""What the studies take: options that a command has, read before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from gdcli.errors import UserError
from gdcli.experiment.axis import expand
from gdcli.experiment.grid import Axes
from gdcli.experiment.training import MOST_STEPS
from gdcli.fields import options_of
from gdcli.runs.options import DeviceName, Memory


@dataclass(frozen=True)
class Compute:
    """Where a study computes."""

    device: DeviceName = "auto"
    memory: Memory = None


@dataclass(frozen=True)
class RangeTest:
    """How long rates are held, where they are looked for, and when one is unstable."""

    epochs: Annotated[
        int | None,
        "epochs for which each learning rate is kept (default: those of the problem, but at "
        "most 10, more for gd, and at most 3000 steps)",
        Ge(1),
        Le(MOST_STEPS),
    ] = None
    steps: Annotated[
        int | None,
        "steps for which each learning rate is kept, instead of epochs",
        Ge(1),
        Le(MOST_STEPS),
    ] = None
    lr_from: Annotated[
        float,
        "learning rate at which the ramp begins: a short first training whose learning rate "
        "grows with every step",
        Gt(0),
    ] = 1e-5
    lr_to: Annotated[
        float,
        "learning rate at which the ramp ends; rates beyond both ends are tried where needed",
        Gt(0),
    ] = 10.0
    ramp: Annotated[int, "steps of the ramp", Ge(3)] = 100
    smooth: Annotated[
        int, "losses of the ramp to average around each step, against noise", Ge(1)
    ] = 5
    diverge_at: Annotated[
        float,
        "a learning rate is unstable when its loss ends at more than this many times the "
        "starting loss",
        Gt(1),
    ] = 2.0

    def __post_init__(self) -> None:
        """Raise UserError for a budget that is given twice."""
        if self.epochs is not None and self.steps is not None:
            what = f"both epochs ({self.epochs}) and steps ({self.steps}) are given"
            raise UserError("--steps", what, "give one of them")

    def rates(self) -> tuple[float, ...]:
        """Return the rates, evenly spaced on a logarithmic scale, both ends included."""
        if self.lr_to <= self.lr_from:
            what = f"{self.lr_to:g} is not above the {self.lr_from:g} of --lr-from"
            raise UserError("--lr-to", what, "give a larger one")
        text = f"log:{self.lr_from!r}:{self.lr_to!r}:{self.ramp}"
        return expand(text, options_of(Axes)["lr"], "--ramp")


@dataclass(frozen=True)
class View:
    """Which part of the parameters is looked at, and how closely."""

    directions: Annotated[
        Literal["pca", "random"],
        "plane to draw where there are more than two parameters: pca, through the best trial's "
        "start and end and where the trials differ most; random, along two random directions",
    ] = "pca"
    resolution: Annotated[
        int | None,
        "points along each side of the picture (default: 201 where the loss is quick to "
        "compute, else 51)",
        Ge(2),
    ] = None
    x_range: Annotated[tuple[float, float] | None, "ends of the horizontal axis, such as -1,2"] = (
        None
    )
    y_range: Annotated[tuple[float, float] | None, "ends of the vertical axis"] = None

    def __post_init__(self) -> None:
        """Raise UserError for a range that does not ascend."""
        for name in ("x_range", "y_range"):
            ends = getattr(self, name)
            if ends and not ends[0] < ends[1]:
                what = f"{ends[0]:g} is not below {ends[1]:g}"
                raise UserError(f"--{name.replace('_', '-')}", what, "give the smaller one first")


@dataclass(frozen=True)
class DataMap:
    """What is looked for in the training dynamics of the examples."""

    flip_labels: Annotated[
        float,
        "share of the training labels to make wrong on purpose, to see how many are found",
        Ge(0),
        Lt(1),
    ] = 0.0
    el2n_epoch: Annotated[
        int, "epoch of the EL2N score, or the last one if training is shorter", Ge(1)
    ] = 10
    ambiguous_from: Annotated[
        float,
        "an example is ambiguous when the probability of its label varies at least this much "
        "(standard deviation over the epochs)",
        Gt(0),
        Le(0.5),
    ] = 0.2
    error_margin: Annotated[
        float,
        "a label can be wrong only where another class is more probable by at least this much, "
        "on average over the epochs",
        Gt(0),
        Le(1),
    ] = 0.25


@dataclass(frozen=True)
class GradientCheck:
    """How much of a gradient is looked at, and how closely it must agree."""

    entries: Annotated[int, "entries of each parameter to check, drawn at random", Ge(1)] = 20
    tolerance: Annotated[
        float, "largest relative difference that counts as agreement, beyond rounding", Gt(0)
    ] = 1e-5
