"""Which way a batch was computed, in words for the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdcli.engine.program import Program
    from gdcli.engine.steppers.stepper import Stepper

REFERENCE = "reference: autograd on torch, one trial at a time"


def path_of(program: Program, stepper: Stepper[Any]) -> str:
    """Return what took the steps of a batch, such as "stacked layers on torch, step by step"."""
    library = {"Torch": "torch"}.get(name := type(program.device).__name__, name)
    read = ", examples read from disk in parts" if program.streamed else ""
    return f"{program.words} on {library}, {stepper.words}{read}"
