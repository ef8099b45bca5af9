"""Progress: what a run reports while it is computed."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives every piece of work as it is done, and shows what it likes."""

    def start(self, total: int) -> None:
        """Begin: `total` trial-steps are to be done."""

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Add trial-steps done by the trials named `label`; `loss` is their lowest loss."""

    def note(self, line: str) -> None:
        """Show a note, such as that the run waits for another process."""

    def warn(self, line: str) -> None:
        """Show what went wrong without ending the run, such as a trial that failed."""

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
