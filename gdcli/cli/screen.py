"""What is shown, and how: the options that every command has."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from gdcli.report.console import console, literal, print_lines

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


@dataclass(frozen=True)
class Screen:
    """The options of every command that say how it speaks."""

    format: Annotated[Literal["table", "csv", "json", "md"], "form of what is printed"] = "table"
    quiet: Annotated[
        bool, "print only results and errors; after a run only its folder, unless --format is given"
    ] = False
    verbose: Annotated[bool, "print the traceback of an internal error"] = False
    no_color: Annotated[bool, "print without colour"] = False

    def console(self, *, stderr: bool = False) -> Console:
        """Return where results go: stdout, or stderr for what is not a result."""
        return console(stderr=stderr, color=not self.no_color)

    @property
    def terse(self) -> bool:
        """Whether only the folder of a new run is printed, for the next command of a script."""
        return self.quiet and self.format == "table"

    def print_path(self, folder: Path) -> None:
        """Print a run's folder as the next command takes it."""
        self.console().file.write(f"{folder}\n")

    def tell(self, message: str) -> None:
        """Say what is not a result, on stderr."""
        if not self.quiet:
            self.warn(message)

    def warn(self, message: str) -> None:
        """Say what went wrong, on stderr, which may be closed or full."""
        with suppress(OSError):
            print_lines([literal(message)], self.console(stderr=True))
