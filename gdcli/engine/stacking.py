"""Whether a loss can be computed for all trials together: it is tried, on a few examples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gdcli.datasets.out_of_core import some_of

if TYPE_CHECKING:
    from gdcli.engine.initial import Start
    from gdcli.engine.mapping import Mapping
    from gdcli.engine.programs.autograd import AutogradProgram
    from gdcli.problem import Data

FEW = 4  # examples: more than one, which batch norm needs
LONGEST = 100  # characters of torch's own words
# Of what torch.func.vmap says, the part that tells, and what it means.
MEANINGS = {
    "control flow": "what it computes depends on its values, as by an if or .item()",
    ".item()": "what it computes depends on its values, as by an if or .item()",
    "dynamic shape": "the shapes in it depend on its values",
    "random operation": "it draws random numbers other than by nn.Dropout",
}
Build = Callable[["Data", "Mapping", int], "AutogradProgram"]


def obstacle(build: Build, data: Data, start: Start) -> str | None:
    """Return why a program cannot compute its trials together, None where it can.

    `build` makes the program of so many trials, which all begin at `start`. A loss that cannot be
    computed for one trial either is no obstacle to stacking: it is the trials' own failure.
    """
    from gdcli.engine.mapping import OneByOne, Together

    few = replace(some_of(data, 0, FEW), test={})
    try:
        alone = _tried(build(few, OneByOne(), 1), start)
    except Exception:  # noqa: BLE001 -- the run tells of it
        return None
    try:
        together = _tried(build(few, Together(), 2), start)
    except Exception as error:  # noqa: BLE001 -- whatever torch finds
        return _meaning(str(error))
    if all(np.allclose(together[k], alone[k], rtol=1e-3, atol=1e-5, equal_nan=True) for k in alone):
        return None
    return "its loss is another one when it is"


def _tried(program: AutogradProgram, start: Start) -> dict[str, np.ndarray]:
    """Return what is recorded at a point and the gradients of a step, as numbers."""
    params = program.start([start])
    with warnings.catch_warnings():
        # Where torch has no batching rule it warns, and is as slow as one by one.
        warnings.filterwarnings("error", message=".*batching rule")
        # Of a point the gradient is left out: that of a step is one, and takes as long.
        values = program.measured(params, program.train, "train")
        slopes = program.gradient(params, None)
    found = values | {f"slope {name}": slope for name, slope in slopes.items()}
    return {name: program.device.host(value) for name, value in found.items()}


def _meaning(said: str) -> str:
    for part, meaning in MEANINGS.items():
        if part in said:
            return meaning
    return " ".join(said.split())[:LONGEST]
