"""Trials that raise an exception are separated from the other trials of their batch."""

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
    """Return what `train` gives for a batch, or for its parts where the whole batch raises.

    An exception belongs to some trial: the batch is halved, again and again, down to the trials
    that raise it alone; `failed` makes their results from the exception's message. Where memory
    runs out, the batch is halved in the same way, but no trial fails for that. Raises errors of the
    machine: GdcliError, OSError, and a lack of memory for a single trial.
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
    """Return whether an exception reports a lack of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True  # the latter is torch's; it may not be imported
    what = said(error) if isinstance(error, RuntimeError) else ""
    return "alloc" in what and "memory" in what


def message_of(error: Exception) -> str:
    """Return an exception's message in one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in said(error)
    )
