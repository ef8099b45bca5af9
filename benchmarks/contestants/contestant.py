"""The contract of a contestant: a module with `prepare`.

`prepare(task)` loads what the task needs, untimed, and returns a Run. Calling that takes the
task's steps and returns the losses before and after them: it is timed, and must do all of its
work anew each time, the order of the examples included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.loaded import Losses


@dataclass(frozen=True)
class Run:
    """A task that is ready to be timed."""

    train: Callable[[], Losses]
    dtype: str
    compile_seconds: float = 0.0  # spent on this task before it could run
