"""What gdcli sets up in a process: standard output, signals, environment; and what it lacks.

Standard output is for results alone. Code of the user's own may print from Python, from C, and from
processes that it starts: once it runs, descriptor 1 is that of stderr, and what gdcli prints has a
descriptor of its own.

The first signal that asks a process to end lets the batches in hand be finished.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TextIO

from gdcli.fields import said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@dataclass
class _State:
    """Where the results go in this process: there is one standard output."""

    kept: TextIO | None = None  # to be put back, while a command runs that prints results
    results: TextIO | None = None  # apart from sys.stdout
    descriptor: int | None = None  # of the results, where it is not 1
    diverted: bool = False  # once, since the process began


_state = _State()


@contextmanager
def kept_apart() -> Iterator[None]:
    """Let `divert` have its effect, until the end of the block."""
    _state.kept = sys.stdout
    try:
        yield
    finally:
        join()


def divert() -> None:
    """Send what is printed from here on to stderr, but for results; once is enough."""
    if _state.kept is None or _state.results is not None:
        return
    sys.stdout.flush()
    _state.results, _state.diverted = sys.stdout, True
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        _state.descriptor = os.dup(1)
        _state.results = open(  # noqa: PTH123, SIM115 -- a descriptor, until `join`
            _state.descriptor, "w", encoding=sys.stdout.encoding, errors="backslashreplace"
        )
        os.dup2(2, 1)
        _prepare_forks()
    sys.stdout = sys.stderr


@cache
def _prepare_forks() -> None:
    """Let results be printed by the process that began alone, not by copies that code makes."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_silence)


def _silence() -> None:
    if _state.descriptor is not None:
        os.dup2(2, _state.descriptor)


def join() -> None:
    """Undo `divert`, for good: what is printed is a result again."""
    stream, descriptor, kept = _state.results, _state.descriptor, _state.kept
    _state.results = _state.descriptor = _state.kept = None
    if stream is None or kept is None:
        return
    try:
        if descriptor is not None:
            sys.stdout.flush()
            stream.flush()
    finally:
        if descriptor is not None:
            kept.flush()  # what was printed by way of sys.__stdout__, to stderr
            os.dup2(descriptor, 1)
            stream.close()
        sys.stdout = kept


def finish() -> None:
    """Send what is printed while the process ends, as by `atexit`, to stderr, if code was run."""
    if _state.diverted:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            os.dup2(2, 1)


def results() -> TextIO | None:
    """Return where results go; None in a process without standard output."""
    return sys.stdout if _state.results is None else _state.results


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
