"""What readers of data have to say that is no error, such as which separator was taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_HEARD: ContextVar[dict[str, None] | None] = ContextVar("heard", default=None)


def note(line: str) -> None:
    """Say a line, once however often it is said, to whoever collects them; else to nobody."""
    heard = _HEARD.get()
    if heard is not None:
        heard[line] = None


@contextmanager
def collected() -> Iterator[dict[str, None]]:
    """Collect the lines that are said inside, in their order, as the keys of a dictionary."""
    lines: dict[str, None] = {}
    token = _HEARD.set(lines)
    try:
        yield lines
    finally:
        _HEARD.reset(token)
