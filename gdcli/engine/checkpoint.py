"""The state of a batch between two steps, as named arrays that training can go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from gdcli.engine.program import Program
    from gdcli.optimizer import State
    from gdcli.problem import Params

Arrays: TypeAlias = "dict[str, NDArray[Any]]"


class Keeper(Protocol):
    """Keeps the last state of one batch; how long, and where, is its own affair."""

    def due(self) -> bool:
        """Return whether it is time for another state."""

    def save(self, arrays: Arrays) -> None:
        """Keep a state instead of the one before."""

    def load(self) -> Arrays | None:
        """Return the state that is kept; None, if there is none to be trusted."""


def packed(step: int, params: Params, states: dict[str, State], program: Program) -> Arrays:
    """Return the parameters, the optimizer's state and what is carried after a number of steps."""
    held = {f"param {name}": array for name, array in params.items()}
    for name, state in states.items():
        held |= {f"state {name} {key}": array for key, array in state.items()}
    held |= {f"carried {name}": array for name, array in program.carried.items()}
    return {"step": np.array(step), **{name: program.device.host(a) for name, a in held.items()}}


def unpack(arrays: Arrays, params: Params, states: dict[str, State], program: Program) -> int:
    """Put a state in the place of another of the same batch; return its step."""
    array = program.device.array
    for name in params:
        params[name] = array(arrays[f"param {name}"])
        states[name] = {k: array(arrays[f"state {name} {k}"]) for k in states[name]}
    program.carried = {name: array(arrays[f"carried {name}"]) for name in program.carried}
    return int(arrays["step"])
