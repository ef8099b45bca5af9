"""Parameters as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flat(params: Mapping[str, NDArray[np.floating]]) -> NDArray[np.floating]:
    """Return arrays (trials, ...) by name as one array (trials, parameters)."""
    return np.concatenate([array.reshape(len(array), -1) for array in params.values()], axis=1)


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in the vector: their names and shapes, in order."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """The number of numbers."""
        return sum(map(math.prod, self.shapes.values()))

    def names(self) -> list[str]:
        """Return what each number is called: "bias", "weight[0,1]"."""
        return [
            name + (f"[{','.join(map(str, place))}]" if math.prod(shape) > 1 else "")
            for name, shape in self.shapes.items()
            for place in np.ndindex(*shape)
        ]

    def split(self, vector: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
        """Return the parameters by name, as views of the vector."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes.values()])
        parts = np.split(vector, ends[:-1])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def layout_of(start: Mapping[str, NDArray[np.floating]]) -> Layout:
    """Return the layout of a starting point."""
    return Layout({name: array.shape for name, array in start.items()})
