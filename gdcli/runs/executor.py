"""The contract of an executor: who computes the batches of a run, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.runs.run import Run
    from gdcli.runs.tally import Tally


class Executor(Protocol):
    """Sees that batches of a run are in its store."""

    def __call__(
        self, run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]
    ) -> None:
        """Compute the batches with these indices, or wait until another process has.

        `tally` is told of each. Begins no further batch once `stopping` says so.
        """
