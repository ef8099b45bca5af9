"""The loop of a tutorial: nn.Module, DataLoader and torch.optim, one trial at a time."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contestants.contestant import Run
from benchmarks.contestants.modules import criterion_for, module_for, tensors_for
from benchmarks.loaded import Loaded, Losses, load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from benchmarks.workload import Task
    from gdcli.experiment.grid import Trial

    Batches = Iterable[tuple[Tensor, ...]]


def prepare(task: Task) -> Run:
    """Load the examples; a full batch stays on the device, others are moved there one by one."""
    loaded = load(task)
    everything = tensors_for(loaded, task.device)
    x, y = tensors_for(loaded, "cpu")
    dataset = None if loaded.full else TensorDataset(x, y)

    def train() -> Losses:
        losses = Losses([], [])
        for trial in loaded.trials:
            batches: Batches = repeat(everything, loaded.plan.steps)
            if dataset is not None:
                order = loaded.indices((trial.seed,))[:, 0].tolist()
                batches = DataLoader(dataset, batch_sampler=order)
            before, after = _train_one(loaded, trial, batches, everything)
            losses.before.append(before)
            losses.after.append(after)
        return losses

    return Run(train, loaded.dtype)


def _train_one(
    loaded: Loaded, trial: Trial, batches: Batches, everything: tuple[Tensor, Tensor]
) -> tuple[float, float]:
    """Return a trial's loss on all examples before and after its steps."""
    device, criterion = loaded.device, criterion_for(loaded)
    model = module_for(loaded, trial.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.lr)

    def evaluate() -> float:
        with torch.no_grad():
            return float(criterion(model(everything[0]), everything[1]).item())

    before = evaluate()
    for x, y in batches:
        inputs, targets = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
        optimizer.step()
    return before, evaluate()
