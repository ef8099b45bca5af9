"""What a process that computes needs: its environment, what signals do to it, and its memory.

The first signal that asks it to end lets the batches in hand be finished.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.fields import said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
NOTE = b"stopping after the batches in hand; the same signal again stops at once\n"
CLEAR = b"\r\x1b[K"  # a progress bar from a terminal's line


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _Received:
    """The signals that this process received; it has one set of handlers."""

    count: int = 0
    first: int = 0
    last: int = 0
    patient: bool = False


_received = _Received()


def listen() -> None:
    """Handle the signals, except those that the process ignores, as under nohup."""
    _received.count = _received.first = 0
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def _handle(number: int, _frame: FrameType | None) -> None:
    _received.count += 1
    _received.last = number
    if _received.count == 1 and _received.patient:
        _received.first = number
        with suppress(OSError):
            # Not by way of sys.stderr, which may be in the middle of a line.
            os.write(2, (CLEAR if os.isatty(2) else b"") + NOTE)
    elif _received.count > 2:  # what the second signal raised was swallowed
        os._exit(128 + number)
    else:
        raise Interrupted(number)


@contextmanager
def patience() -> Iterator[Callable[[], bool]]:
    """Hold back the first signal; yield a function that returns whether it came.

    A second signal raises Interrupted at once. After the first, Interrupted is raised at the end
    of the block, when the work in hand is finished.
    """
    _received.patient = True
    try:
        yield lambda: _received.first > 0
    except Interrupted:
        raise
    except KeyboardInterrupt:  # compiled code may raise it in the place of what a handler raised
        raise Interrupted(_received.last or signal.SIGINT) from None
    finally:
        _received.patient = False
    if _received.first:
        raise Interrupted(_received.first)


@contextmanager
def shielded() -> Iterator[None]:
    """Block the signals; a process that is started meanwhile never receives them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# One thread a process, and one path through MKL for all shapes: otherwise the bits of a trial
# depend on its neighbours. NumPy and torch read them when they are imported.
SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MKL_CBWR": "AUTO",
}


def lacks_memory(error: Exception) -> bool:
    """Return whether an exception reports a lack of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True  # the latter is torch's; it may not be imported
    what = said(error) if isinstance(error, RuntimeError) else ""
    return "alloc" in what and "memory" in what


def message_of(error: Exception) -> str:
    """Return an exception's message in one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in said(error)
    )
