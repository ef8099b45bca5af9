"""A grid as a tutorial would run it: nested loops around an nn.Module, a DataLoader and SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contestants.modules import criterion_for, module_for
from benchmarks.scripts.rows import asked, line, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

    from benchmarks.contestants.modules import Criterion
    from benchmarks.loaded import Loaded
    from gdcli.experiment.grid import Trial

    Part = tuple[Tensor, Tensor]


def main() -> None:
    """Train every trial and write its curve."""
    file, cohorts = asked()
    write(file, cohorts, _curves)


def _curves(loaded: Loaded) -> Iterator[str]:
    for trial in loaded.trials:
        yield from _curve(loaded, trial)


def _curve(loaded: Loaded, trial: Trial) -> Iterator[str]:
    """Yield a line an epoch."""
    model, criterion = module_for(loaded, trial.seed), criterion_for(loaded)
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.lr)
    train, test = loaded.part("train"), loaded.part("test")
    parts = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in (train, test)]
    dataset, per_epoch = TensorDataset(*parts[0]), loaded.plan.steps_per_epoch
    yield line(loaded, trial, 0, _measures(model, criterion, *parts))
    for epoch in range(loaded.plan.steps // per_epoch):
        batches: Iterable[tuple[Tensor, ...]] = [parts[0]]
        if not loaded.full:
            blocks = loaded.blocks((trial.seed,), epoch * per_epoch, (epoch + 1) * per_epoch)
            order = [batch for block in blocks for batch in block[:, 0].tolist()]
            batches = DataLoader(dataset, batch_sampler=order)
        for x, y in batches:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
            optimizer.step()
        yield line(loaded, trial, epoch + 1, _measures(model, criterion, *parts))


def _measures(model: nn.Module, criterion: Criterion, train: Part, test: Part) -> list[float]:
    """Return losses, the norm of the gradient and, of classes, accuracies."""
    z = model(train[0])
    loss = criterion(z, train[1])
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = torch.sqrt(sum((g.square().sum() for g in gradients), torch.zeros(())))
    with torch.no_grad():
        likely = model(test[0])
        measures = [loss.item(), norm.item(), criterion(likely, test[1]).item()]
        if test[1].ndim == 1:
            pairs = ((z, train[1]), (likely, test[1]))
            measures += [(a.argmax(1) == y).double().mean().item() for a, y in pairs]
    return measures


if __name__ == "__main__":
    main()
