"""What a run tells while it goes on."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of every piece of work as it is done; what it shows is its own affair."""

    def start(self, total: int) -> None:
        """Begin: `total` trial-steps are to be done."""

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Add trial-steps done, of trials named `label`, and, now and then, their lowest loss."""

    def note(self, line: str) -> None:
        """Tell what the run does, such as whom it waits for."""

    def warn(self, line: str) -> None:
        """Tell what went wrong and does not end the run, such as a trial that failed."""

    def stop(self) -> None:
        """End, whether the work is done or not."""


class Silent:
    """Shows nothing."""

    def start(self, total: int) -> None:
        """Show nothing."""

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Show nothing."""

    def note(self, line: str) -> None:
        """Show nothing."""

    def warn(self, line: str) -> None:
        """Show nothing."""

    def stop(self) -> None:
        """Show nothing."""
