"""A loss that you write as a formula, such as (w - 2)**2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar

from gdcli.arrays import namespace
from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.formula import Formula, backward, forward, parse
from gdcli.problem import Analytic, Array, Batch, Data, Params, StartSpread

if TYPE_CHECKING:
    import numpy as np

_parsed = cache(parse)


@dataclass(frozen=True)
class Expression(Analytic):
    """A loss written as a formula, such as "(w - 2)**2"; the names in it are the weights.

    A formula has numbers, names, + - * / ** and the functions of `gdcli step`. It is never
    executed as Python. Backpropagation computes the gradient node by node.
    """

    formula: Annotated[str, "the loss, as a formula; its names are the weights"] = "(w - 2)**2"
    start: Annotated[
        tuple[float, ...], "where the weights start, in the order in which the formula has them"
    ] = (5.0,)
    spread: StartSpread = 0.0

    metric_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Raise UserError if the formula is wrong, or a weight has no start."""
        try:
            names = _parsed(self.formula).variables
        except UserError as error:
            raise UserError("--formula", error.what, error.fix) from None
        if len(self.start) != len(names):
            what = f"{counted(len(self.start), 'number', 'numbers')} for the weights"
            fix = f"give {len(names)}, separated by commas, in this order"
            raise UserError("--start", f"{what} {show(', '.join(names))}", fix)

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The values of the weights."""
        return tuple(f"at_{name}" for name in self._graph.variables)

    @property
    def _graph(self) -> Formula:
        return _parsed(self.formula)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return the start plus normal noise with the standard deviation `spread`."""
        return {"point": self.start + self.spread * rng.standard_normal(len(self.start))}

    def value(self, point: Array, batch: Batch) -> Array:
        """Return the formula's value at each trial's point."""
        return self._values(point)[-1]

    def gradient(self, point: Array, batch: Batch) -> Array:
        """Return d loss / d weight for every weight, by the chain rule."""
        import numpy as np

        graph, values = self._graph, self._values(point)
        with np.errstate(
            all="ignore"
        ):  # e.g. log(-1) is nan, perhaps in a slope that is not needed
            gradients = backward(graph.nodes, values)
        own = [gradients[graph.place(name)] for name in graph.variables]
        return namespace(point).stack(own, axis=-2)

    def _values(self, point: Array) -> list[Array]:
        import numpy as np

        with np.errstate(all="ignore"):
            return forward(self._graph.nodes, self._weights(point))

    def _weights(self, point: Array) -> dict[str, Array]:
        return {name: point[..., i, :] for i, name in enumerate(self._graph.variables)}

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Return the weights, each of shape (..., trials)."""
        weights = self._weights(params["point"])
        return {f"at_{name}": value for name, value in weights.items()}
