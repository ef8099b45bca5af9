"""The same races on a GPU: many trials at once, against a tutorial's loop on the same GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.agreement import check
from benchmarks.race import race
from benchmarks.worker import OURS, Worker
from benchmarks.workload import Task, Workload
from benchmarks.workloads import cnns, mlp

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.result import Result
    from benchmarks.team import Team

TRIALS = (64, 256, 1024, 4096)
GOALS = {"MLP, batch 32": 50, "CNN 28x28, batch 32": 20}
AT = 256  # trials at which the goals are set
FEW = 2  # trials whose losses are held against the CPU's


def why_not() -> str:
    """Return why there can be no race on a GPU, "" where there can."""
    import torch

    return "" if torch.cuda.is_available() else "PyTorch sees no CUDA device"


def workloads(images: Path, against: tuple[str, ...]) -> tuple[Workload, ...]:
    """Return batches of 32, for an MLP and a CNN on images of 28 x 28."""
    return tuple(
        replace(
            workload,
            section="gpu",
            name=f"{workload.name}-gpu-{trials}",
            title=f"{workload.title}: {trials} trials",
            rates=trials,
            lr=(1e-4, 1e-1),
            first=40,  # enough for losses to move by more than TF32 rounds
            against=against,
            goals={"tutorial": GOALS[workload.title]} if trials == AT else {},
        )
        for workload in (mlp()[1], cnns(images)[4])
        for trials in TRIALS
    )


def contest(workload: Workload, team: Team, repeats: int, target: float) -> list[Result]:
    """Race on the GPU, after its losses were held against the CPU's."""
    workers = team.of((OURS, *workload.against))
    _compare(workload, workers[OURS])
    return race(workload, workers, repeats, target)


def _compare(workload: Workload, ours: Worker) -> None:
    """Raise DisagreementError unless a GPU computes the losses of the CPU."""
    task = Task(workload, FEW, workload.first)
    on_cpu = Worker(OURS)
    try:
        dtype = on_cpu.prepare("cpu", task)["dtype"]
        reference = on_cpu.train("cpu")
    finally:
        on_cpu.close()
    ours.prepare("gpu", replace(task, device=ours.device))
    check("the GPU", ours.train("gpu"), reference, dtype, ours.device)
