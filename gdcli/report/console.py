"""Where output goes: data to stdout, all else to stderr; plain, unbroken lines off a terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from gdcli.stdout import results

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.text import Text

PICTURE = 80  # columns of a picture in a file or a pipe
UNBROKEN = 10_000  # columns: wider than any line, so that nothing is wrapped or cut


def console(*, stderr: bool = False, color: bool = True) -> Console:
    """Return a Rich console on stdout or stderr, which prints text as it is, without markup.

    NO_COLOR is honoured, as is `color`, which --no-color sets to False.
    """
    # An error is reported, and a usage error found, without waiting for Rich.
    from rich.console import Console

    terminal = on_terminal(stderr=stderr)
    return Console(
        file=None if stderr else cast("TextIO", _Results()),
        stderr=stderr,
        no_color=None if color else True,
        width=None if terminal else UNBROKEN,
        soft_wrap=not terminal,
        markup=False,
        emoji=False,
        highlight=False,
    )


_NOWHERE = io.StringIO()  # of a process without standard output


class _Results:
    """The stream of the results, wherever that leads when it is written to."""

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has of this name."""
        return getattr(results() or _NOWHERE, name)


def on_terminal(*, stderr: bool = False) -> bool:
    """Return whether stdout or stderr is a terminal; it may be closed, too."""
    stream = sys.stderr if stderr else results()
    return stream is not None and not stream.closed and stream.isatty()


def print_lines(lines: Iterable[str | Text], console: Console) -> None:
    """Print sentences, broken between words to fit a terminal, and rows of `Text` as they are.

    A `Text` that says no_wrap=False is a sentence, too.
    """
    for line in lines:
        sentence = isinstance(line, str) or line.no_wrap is False
        console.print(line, soft_wrap=not (sentence and console.is_terminal))


def picture_width(console: Console) -> int:
    """Return the columns that a picture takes: those of the terminal, or PICTURE off it."""
    return console.width if console.is_terminal else PICTURE


def has_colors(console: Console) -> bool:
    """Return whether a console shows so many colours that a picture can be made of them."""
    return console.color_system in {"256", "truecolor"} and not console.no_color


def literal(text: str) -> str:
    r"""Return text whose control characters are spelt out, as in \x1b, and do nothing."""
    if text.isprintable():  # as nearly all is: most cells of a long table
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
