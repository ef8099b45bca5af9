"""Trials that raise an exception, kept apart from those that are trained with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from gdcli.engine.batch import TrialBatch
from gdcli.errors import GdcliError, RunError
from gdcli.grid import Trial

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
    Raises what is the machine's doing: GdcliError, MemoryError, OSError, and memory of a GPU.
    """
    try:
        return [train(batch)]
    except (GdcliError, MemoryError, OSError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's; it may not be imported
            raise RunError(f"{device}: {error}; stack fewer trials") from error
        if len(batch.trials) == 1:
            return [failed(batch.trials[0], message_of(error))]
    half = len(batch.trials) // 2
    parts = (batch.trials[:half], batch.trials[half:])
    halves = [isolated(replace(batch, trials=part), device, train, failed) for part in parts]
    return [*halves[0], *halves[1]]


def message_of(error: Exception) -> str:
    """Return what an exception says, in one line."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
