"""The contestants' processes, started when they are first needed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Team:
    """One process a contestant, replaced when it has died."""

    def __init__(self, device: str) -> None:
        """Begin with no process."""
        self.device = device
        self.workers: dict[str, Worker] = {}

    def of(self, names: tuple[str, ...]) -> Mapping[str, Worker]:
        """Return the named contestants; those that have to start do so at the same time."""
        for name in names:
            if name not in self.workers or self.workers[name].ended:
                self.workers[name] = Worker(name, self.device)
        return {name: self.workers[name] for name in names}

    def close(self) -> None:
        """End every process."""
        for worker in self.workers.values():
            worker.close()


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Give a team, and end its processes at the end."""
    members = Team(device)
    try:
        yield members
    finally:
        members.close()
