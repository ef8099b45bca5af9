"""Trials that raise an exception, kept apart from those that are trained with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gdcli.errors import GdcliError, RunError
from gdcli.fields import said

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.engine.batch import TrialBatch
    from gdcli.experiment.grid import Trial

T = TypeVar("T")


def isolated(
    batch: TrialBatch,
    device: str,
    train: Callable[[TrialBatch], T],
    failed: Callable[[Trial, str], T],
) -> list[T]:
    """Return what `train` makes of a batch, or of its parts where the whole batch raises.

    An exception is some trial's: the halves are trained apart, and their halves, down to the
    trials that raise it alone; of those `failed` makes the result, from the exception's message.
    Where memory does not suffice, less is computed at a time in the same way; but no trial fails
    by it. Raises what is the machine's doing: GdcliError, OSError, and a lack of memory for one.
    """
    one = len(batch.trials) == 1
    try:
        return [train(batch)]
    except (GdcliError, OSError):
        raise
    except Exception as error:
        if lacks_memory(error):
            if one and device != "cpu":
                what = f"{device}: its memory is not enough for one trial ({message_of(error)})"
                raise RunError(f"{what}; give smaller batches, or --device cpu") from error
            if one:
                raise MemoryError(message_of(error)) from error
        elif one:
            return [failed(batch.trials[0], message_of(error))]
    half = len(batch.trials) // 2
    parts = (batch.trials[:half], batch.trials[half:])
    halves = [isolated(replace(batch, trials=part), device, train, failed) for part in parts]
    return [*halves[0], *halves[1]]


def lacks_memory(error: Exception) -> bool:
    """Return whether an exception says that memory was asked for in vain."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True  # the latter is torch's; it may not be imported
    what = said(error) if isinstance(error, RuntimeError) else ""
    return "alloc" in what and "memory" in what


def message_of(error: Exception) -> str:
    """Return what an exception says, in one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in said(error)
    )
