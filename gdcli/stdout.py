"""Standard output, which is for results alone: what code of the user's own prints goes to stderr.

Code of the user's own may print from Python, from C, and from processes that it starts. Once it
runs, descriptor 1 is that of stderr, and what gdcli prints has a descriptor of its own.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


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
