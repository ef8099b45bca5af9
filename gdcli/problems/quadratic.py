"""Quadratic bowl with the dimension and condition number that you choose."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.errors import UserError
from gdcli.problem import Analytic, Array, Batch, Data, Params

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Quadratic(Analytic):
    """The mean of (w - x)' Q (w - x) / 2 over the examples x; the minimum is at their mean.

    The eigenvalues of Q, the curvatures, go from 1 to `condition`, equally spaced on a logarithmic
    scale. In one dimension the only eigenvalue is `condition`. Without noise there are no examples,
    x is 0, and every step uses the same bowl. With noise the training and the test part have normal
    examples around 0.

    The instance `deepobs` is quadratic_deep of DeepOBS (Schneider, Balles and Hennig, ICLR 2019):
    rotated, with 90 eigenvalues between 0 and 1 and 10 between 30 and 60. Like the published runs
    it uses 896 test examples.
    """

    dim: Annotated[int, "number of parameters", Ge(1)] = 2
    condition: Annotated[
        float, "condition number: the largest curvature over the smallest, which is 1", Ge(1)
    ] = 10.0
    noise: Annotated[
        float,
        "standard deviation of the examples around 0; without noise every step sees the same loss",
        Ge(0),
    ] = 0.0
    examples: Annotated[
        int, "number of training examples, and of test examples, where there is noise", Ge(1)
    ] = 1000
    rotate: Annotated[bool, "rotate the axes of the bowl at random"] = False
    spread: Annotated[
        float, "standard deviation of random starting points around 1, ..., 1", Ge(0)
    ] = 0.0
    instance: Annotated[
        Literal["synthetic", "deepobs"],
        "synthetic: made from these options; deepobs: the published quadratic_deep",
    ] = "synthetic"

    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 50
    metric_names: ClassVar[tuple[str, ...]] = ("distance",)

    def __post_init__(self) -> None:
        """Raise UserError for options that the published instance fixes."""
        for field in dataclasses.fields(self) if self.instance == "deepobs" else ():
            given = getattr(self, field.name)
            if field.name not in ("spread", "instance") and given != field.default:
                what = f"{given} has no effect on the instance deepobs, which sets it"
                raise UserError(f"--{field.name}", what, "leave it out")

    @property
    def minimum(self) -> float | None:
        """0 without noise; None with noise, because it depends on the examples."""
        return 0.0 if self.noise == 0 and self.instance == "synthetic" else None

    def load(self, rng: np.random.Generator) -> Data:
        """Return the examples "x", (examples, dim), if there is noise, and the curvature.

        The curvature is "eigenvalues", (dim,). A rotated bowl also has "hessian", (dim, dim), and
        "axes", (dim, dim), whose rows are the eigenvectors.
        """
        import numpy as np

        if self.instance == "deepobs":
            return _deepobs()
        eigenvalues = np.array(_spaced(self.dim, self.condition))
        constants = {"eigenvalues": eigenvalues}
        if self.rotate:
            constants = _turned(eigenvalues, rng)
        if self.noise == 0:
            return Data(constants=constants)
        shape = self.examples, self.dim
        train, test = (self.noise * rng.standard_normal(shape) for _ in range(2))
        return Data({"x": train}, {"x": test}, constants)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return 1, ..., 1 plus normal noise with the standard deviation `spread`."""
        dim = len(data.constants["eigenvalues"])
        return {"point": 1.0 + self.spread * rng.standard_normal(dim)}

    def value(self, point: Array, batch: Batch) -> Array:
        """Return the loss, computed from the examples' mean: exact for a quadratic."""
        around = _bowl(point - _center(batch), batch)
        if "x" not in batch:
            return around
        examples = _bowl(batch["x"].mT - _center(batch), batch)
        return around + examples.mean(-1)[..., None]

    def gradient(self, point: Array, batch: Batch) -> Array:
        """Return Q (w - mean of the examples)."""
        return _pull(point - _center(batch), batch)

    def aligned(self, data: Data) -> tuple[Array, Data] | None:
        """Return the axes of the bowl, and the examples in these axes."""
        if "axes" not in data.constants:
            return None
        axes = data.constants["axes"]
        train, test = ({k: x @ axes.T for k, x in part.items()} for part in (data.train, data.test))
        return axes, Data(train, test, {"eigenvalues": data.constants["eigenvalues"]})

    def curvature(self, batch: Batch) -> tuple[Array, Array] | None:
        """Return the eigenvalues and the examples' mean; None if the bowl is rotated."""
        if "hessian" in batch:
            return None
        return batch["eigenvalues"][:, None], _center(batch)

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Return the distance to the minimiser of the batch's loss, shape (..., trials)."""
        gap = params["point"] - _center(batch)
        return {"distance": namespace(gap).sqrt((gap * gap).sum(-2))}


def _center(batch: Batch) -> Array:
    """Return the minimiser, (..., dim, 1)."""
    return batch["x"].mean(-2)[..., None] if "x" in batch else 0.0


def _pull(gap: Array, batch: Batch) -> Array:
    """Return Q gap, shape (..., dim, trials)."""
    if "hessian" in batch:
        return batch["hessian"] @ gap
    return batch["eigenvalues"][:, None] * gap


def _bowl(gap: Array, batch: Batch) -> Array:
    """Return gap' Q gap / 2, shape (..., trials)."""
    return 0.5 * (gap * _pull(gap, batch)).sum(-2)


def _spaced(dim: int, condition: float) -> list[float]:
    """Return condition^(i / (dim - 1)), in decimal arithmetic: equal bits on all machines."""
    if dim == 1:
        return [condition]
    context, base = Context(prec=30), Decimal(condition)
    shares = (context.divide(Decimal(i), Decimal(dim - 1)) for i in range(dim))
    return [float(context.power(base, share)) for share in shares]


def _turned(eigenvalues: Array, rng: np.random.Generator | np.random.RandomState) -> Batch:
    """Return the constants of a bowl with these eigenvalues and random axes."""
    turn = _rotation(len(eigenvalues), rng)
    hessian = (turn.T * eigenvalues) @ turn
    return {"hessian": 0.5 * (hessian + hessian.T), "axes": turn, "eigenvalues": eigenvalues}


def _rotation(dim: int, rng: np.random.Generator | np.random.RandomState) -> Array:
    """Return a uniformly distributed random rotation, (dim, dim).

    The subgroup algorithm extends a rotation of one dimension fewer by a reflection that maps its
    first axis to a random direction (Diaconis and Shahshahani 1987).
    """
    import numpy as np

    turn = np.eye(dim)
    if dim == 1:
        return turn
    angle = 2 * np.pi * rng.uniform()
    turn[-2:, -2:] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    for size in range(3, dim + 1):
        direction = rng.normal(size=size)
        normal = -direction / np.linalg.norm(direction)
        normal[0] += 1
        normal /= np.linalg.norm(normal)
        corner = turn[
            -size:, -size:
        ]  # the rotation so far, with a new first row and column 1, 0, ...
        corner -= np.outer(2 * normal, normal @ corner)
    return -turn


def _deepobs() -> Data:
    import numpy as np

    # NumPy's legacy generator, because the published problem was drawn with it.
    rng = np.random.RandomState(42)
    eigenvalues = np.concatenate([rng.uniform(0, 1, 90), rng.uniform(30, 60, 10)])
    constants = _turned(eigenvalues, rng)
    train, test = (np.random.RandomState(seed).normal(0, 0.6, (1000, 100)) for seed in (42, 43))
    return Data({"x": train}, {"x": test[:896]}, constants)
