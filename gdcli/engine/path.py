"""Which way a batch was computed, in words for the manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdcli.engine.program import Program
    from gdcli.engine.steppers.stepper import Stepper

REFERENCE = "reference: autograd on torch, one trial at a time"

# By the names of their classes, not to import those that need torch.
WORDS = {
    "AnalyticProgram": "closed form",
    "LinearModelProgram": "linear model",
    "LeastSquaresProgram": "least squares by its Hessian",
    "NetworkProgram": "stacked layers",
    "ModuleProgram": "vmap of the module",
    "AutogradProgram": "vmap of the loss",
    "Stepwise": "step by step",
    "LeastSquares": "sixteen steps at once",
    "BlockedLinearModel": "weights moved every sixteen steps",
    "FusedLinearModel": "gradient and update fused",
    "FusedNetwork": "gradient and update fused",
}


def path_of(program: Program, stepper: Stepper[Any]) -> str:
    """Return what took the steps of a batch, such as "stacked layers on torch, step by step"."""
    library = {"Torch": "torch"}.get(name := type(program.device).__name__, name)
    return f"{_words(program)} on {library}, {_words(stepper)}"


def _words(part: object) -> str:
    """Return the words for a program or a stepper; without any, those of its class's name."""
    name = type(part).__name__
    return WORDS.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
