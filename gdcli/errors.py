"""The exceptions of gdcli, and the exit code of each.

GdcliError
├── UserError       2  the command line or a file has a mistake; nothing was written
│   ├── UserErrors  2  several such mistakes, reported together
│   └── MissingData 2  data files do not exist
└── RunError        1  the environment failed: a full disk, a killed process
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class GdcliError(Exception):
    """An error that is printed as one line, without a traceback."""

    exit_code: ClassVar[int] = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to print, one for each mistake."""
        return (str(self),)


class UserError(GdcliError):
    """A mistake of the user: what was given, why it fails, and what to type instead."""

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        """Take `where` (an option, or file:line), `what` is wrong, and the `fix`."""
        super().__init__(f"{where}: {what}; {fix}")
        self.where, self.what, self.fix = where, what, fix

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error: a worker sends its errors to the main process."""
        return type(self), (self.where, self.what, self.fix), self.__dict__


class UserErrors(UserError):  # noqa: N818 -- the plural of UserError
    """Several mistakes of one file or command line."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        """Join the errors, in the order in which they were found."""
        first = errors[0]
        super().__init__(first.where, first.what, first.fix)
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the errors."""
        return type(self), (self.errors,), self.__dict__

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each mistake."""
        return tuple(line for error in self.errors for line in error.lines)


class MissingData(UserError):  # noqa: N818 -- what is wrong, not that something is
    """Data files do not exist; commands that only look at the experiment still work."""


class RunError(GdcliError):
    """The environment failed, so the run cannot continue."""
