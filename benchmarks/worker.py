"""A contestant as the race sees it: a process of one thread that prepares tasks and trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.process import SETTINGS

if TYPE_CHECKING:
    from benchmarks.workload import Task

OURS = "gdcli"
MODULES = {
    OURS: "gdcli_engine",
    "tutorial": "tutorial",
    "lean": "lean",
    "jax": "jax_scan",
    "scikit-learn": "scikit_learn",
    "scipy": "scipy_loop",
}
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


ROOT = Path(__file__).parent.parent  # where `python -m benchmarks.serve` finds its module


class ContestantError(Exception):
    """A contestant could not do what it was asked."""


@dataclass(frozen=True)
class Timing:
    """One training, and the losses that it ended with."""

    cpu: float  # seconds
    wall: float
    peak_kib: int  # the process's largest memory so far
    before: list[float]
    after: list[float]


class Worker:
    """One contestant's process."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        """Start the process; it imports what it needs while others do the same."""
        self.name, self.device = name, device
        own = SETTINGS if name == OURS else {}
        if device == "cpu":
            own = {**own, "JAX_PLATFORMS": "cpu"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serve", MODULES[name]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, **own},
            cwd=ROOT,
        )

    @property
    def ended(self) -> bool:
        """Whether the process is no more."""
        return self.process.poll() is not None

    def prepare(self, slot: str, task: Task) -> dict[str, Any]:
        """Load a task into a slot, untimed; return its dtype and the seconds of its compilation."""
        return self._ask({"do": "prepare", "slot": slot, "task": asdict(task)})

    def train(self, slot: str) -> Timing:
        """Train the task in a slot from its start."""
        return Timing(**self._ask({"do": "train", "slot": slot}))

    def clear(self) -> None:
        """Let go of all slots and their memory."""
        self._ask({"do": "clear"})

    def close(self) -> None:
        """End the process."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait(timeout=60)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer; raises ContestantError when there is none, or it is a failure."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise ContestantError(f"{self.name} has no pipes")
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise ContestantError(f"{self.name} ended") from None
        line = stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise ContestantError(f"{self.name}: {answer['error']}")
        return answer
