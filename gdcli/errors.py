"""What can go wrong, and the exit code each kind ends with.

GdcliError
├── UserError       2  the command line or a file is wrong; nothing was touched
│   ├── UserErrors  2  several such mistakes, reported together
│   └── MissingData 2  data files that are not there
└── RunError        1  the environment failed: a full disk, a process that was killed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class GdcliError(Exception):
    """An error that is reported in one line, without a traceback."""

    exit_code: ClassVar[int] = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to print, one a mistake."""
        return (str(self),)


class UserError(GdcliError):
    """What was given, why it cannot be, and what to type instead."""

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        """Say `where` (an option, or file:line), `what` is wrong with the value, and the `fix`."""
        super().__init__(f"{where}: {what}; {fix}")
        self.where, self.what, self.fix = where, what, fix

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the same in another process, which a worker sends its errors to."""
        return type(self), (self.where, self.what, self.fix), self.__dict__


class UserErrors(UserError):  # noqa: N818 -- the plural of UserError
    """Several mistakes of one file or command line."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        """Join the errors, in the order in which they were found."""
        first = errors[0]
        super().__init__(first.where, first.what, first.fix)
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the same in another process."""
        return type(self), (self.errors,), self.__dict__

    @property
    def lines(self) -> tuple[str, ...]:
        """One line a mistake."""
        return tuple(line for error in self.errors for line in error.lines)


class MissingData(UserError):  # noqa: N818 -- what is wrong, not that something is
    """Data files that are not there: an experiment can still be looked at without them."""


class RunError(GdcliError):
    """The environment does not let the run go on."""
