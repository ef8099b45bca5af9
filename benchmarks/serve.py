"""A contestant's process: reads a request a line from stdin, answers a line on stdout."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.workload import Task, Workload

if TYPE_CHECKING:
    from benchmarks.contestants.contestant import Run


class Server:
    """Prepared runs of one contestant, by the slot they were put in."""

    def __init__(self, module: str) -> None:
        """Import the contestant, and whatever it needs."""
        self.contestant = importlib.import_module(f"benchmarks.contestants.{module}")
        self.runs: dict[str, Run] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked: prepare a task in a slot, train a slot, or clear all of them."""
        if request["do"] == "prepare":
            task = request["task"]
            run = self.contestant.prepare(
                Task(**{**task, "workload": Workload(**task["workload"])})
            )
            self.runs[request["slot"]] = run
            return {"dtype": run.dtype, "compile_seconds": run.compile_seconds}
        if request["do"] == "train":
            return _timed(self.runs[request["slot"]])
        self.runs.clear()
        return {}


def _timed(run: Run) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    losses = run.train()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":
        peak //= 1024  # macOS counts bytes
    return {"cpu": cpu, "wall": wall, "peak_kib": peak, **asdict(losses)}


def main() -> None:
    """Answer until stdin ends; what libraries print goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = Server(sys.argv[1])
    for line in sys.stdin:
        try:
            reply = server.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - one failure must not end the other races
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
