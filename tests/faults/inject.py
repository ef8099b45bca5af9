"""Faults at the system calls that touch a folder: patched in from outside, counted, one raised."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MODES = ("kill", "torn", "enospc", "eio")
BY_PATH = ("mkdir", "replace", "link", "unlink", "rmdir", "scandir")
BY_DESCRIPTOR = ("write", "fsync", "close")


@dataclass
class Faults:
    """The n-th guarded call goes wrong as `mode` says; for n = 0 they are only counted.

    kill: the process is killed before the call. torn: half of what it was to write is written,
    then the process is killed. enospc, eio: the call fails.
    """

    folder: Path
    mode: str = "kill"
    place: int = 0
    calls: int = 0
    descriptors: set[int] = field(default_factory=set)

    def install(self) -> None:
        """Guard the calls of this process, for good."""
        for name in BY_PATH:
            self._patch(name, self._by_path(getattr(os, name)))
        for name in BY_DESCRIPTOR:
            self._patch(name, self._by_descriptor(name, getattr(os, name)))
        self._patch("open", self._opening(os.open))
        io.open = self._by_path(builtins.open)  # what pathlib reads with

    def _patch(self, name: str, guarded: Callable[..., Any]) -> None:
        setattr(os, name, guarded)

    def _by_path(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(path: Any, *rest: Any, **options: Any) -> Any:
            if self._inside(path):
                self._count()
            return call(path, *rest, **options)

        return guarded

    def _opening(self, call: Callable[..., int]) -> Callable[..., int]:
        def guarded(path: Any, *rest: Any, **options: Any) -> int:
            if not self._inside(path):
                return call(path, *rest, **options)
            self._count()
            descriptor = call(path, *rest, **options)
            self.descriptors.add(descriptor)
            return descriptor

        return guarded

    def _by_descriptor(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(descriptor: int, *rest: Any) -> Any:
            if descriptor in self.descriptors:
                if name == "close":  # it is closed, whatever it says
                    self.descriptors.remove(descriptor)
                    call(descriptor)
                if name == "write" and self.mode == "torn" and self.calls + 1 == self.place:
                    call(descriptor, rest[0][: len(rest[0]) // 2])
                self._count()
                if name == "close":
                    return None
            return call(descriptor, *rest)

        return guarded

    def _inside(self, path: Any) -> bool:
        if isinstance(path, int):
            return False
        return Path(path).absolute().is_relative_to(self.folder)

    def _count(self) -> None:
        self.calls += 1
        if self.calls != self.place:
            return
        if self.mode in ("kill", "torn"):
            os.kill(os.getpid(), signal.SIGKILL)
        number = {"enospc": errno.ENOSPC, "eio": errno.EIO}[self.mode]
        raise OSError(number, os.strerror(number))
