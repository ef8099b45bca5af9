"""What every problem is: its data, its starting points and its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np

# NumPy on the CPU, torch elsewhere: the array API has no static type that both satisfy.
Array: TypeAlias = Any
Params: TypeAlias = dict[str, Array]
Batch: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Data:
    """Training and test examples: NumPy arrays by name, their first axis the example.

    Both parts are empty for a pure function; the test part is empty where nothing was held out.
    `constants` (a Hessian, say) join every batch whole, on the device of the run. `order` has, for
    each training example, its index among the rows that were read, where that is known.
    """

    train: Batch = field(default_factory=dict)
    test: Batch = field(default_factory=dict)
    constants: Batch = field(default_factory=dict)
    # What each class is called, where that is known.
    classes: tuple[str, ...] = field(default=(), kw_only=True)
    order: Array | None = field(default=None, kw_only=True)

    @property
    def examples(self) -> int:
        """The number of training examples; a pure function counts as one."""
        return len(next(iter(self.train.values()))) if self.train else 1


@dataclass(frozen=True)
class Problem(ABC):
    """A loss to minimise, its data and its starting points."""

    default_lr: ClassVar[float] = 0.1  # one at which gradient descent converges
    default_epochs: ClassVar[int] = 50
    default_dtype: ClassVar[Literal["float32", "float64"]] = "float32"
    vectorized: ClassVar[bool] = True  # False: trials run one by one
    metric_names: ClassVar[tuple[str, ...]] = ()  # the metrics there may be, in their order
    constant: ClassVar[str] = ""  # part of the loss that its gradient takes for a constant
    packages: ClassVar[tuple[str, ...]] = ()  # further ones whose version the results depend on

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The columns of a curve besides the losses and the gradient norm."""
        return self.metric_names

    @property
    def minimum(self) -> float | None:
        """The least training loss there is, where it is known."""
        return None

    @classmethod
    def decided(cls, options: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003 -- here nothing
        """Return, by field, options that the user left out and that a data file decides.

        They are asked for once, where an experiment is made: a run's folder has them as if given.
        """
        return {}

    def load(self, rng: np.random.Generator) -> Data:
        """Return the examples; whatever is drawn (labels, a split) comes from `rng`."""
        return Data()

    @abstractmethod
    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return one trial's starting point: float64 NumPy arrays by name."""

    @abstractmethod
    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the mean loss over the batch, a scalar tensor of one trial."""

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Return further scalars worth recording, by column name."""
        return {}


def of_both_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of metrics that training and test examples both have."""
    return tuple(f"{part}_{name}" for name in names for part in ("train", "test"))
