"""The leanest loop of one trial: plain tensors, indexed directly, and autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from benchmarks.contestants.contestant import Run
from benchmarks.contestants.modules import tensors_for
from benchmarks.loaded import Loaded, Losses, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchmarks.workload import Task
    from gdcli.experiment.grid import Trial

    Loss = Callable[[list[Tensor], Tensor, Tensor], Tensor]


def prepare(task: Task) -> Run:
    """Load the examples."""
    loaded = load(task)
    x, y = tensors_for(loaded, task.device)

    def train() -> Losses:
        ends = [_train_one(loaded, trial, x, y) for trial in loaded.trials]
        return Losses([before for before, _ in ends], [after for _, after in ends])

    return Run(train, loaded.dtype)


def _train_one(loaded: Loaded, trial: Trial, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return a trial's loss on all examples before and after its steps."""
    device, loss = loaded.device, LOSSES[loaded.kind]
    params = [
        torch.tensor(value, dtype=x.dtype, device=device, requires_grad=True)
        for value in loaded.starts[trial.seed].values()
    ]
    batches = None
    if not loaded.full:
        batches = torch.from_numpy(loaded.indices((trial.seed,))[:, 0]).to(device)
    with torch.no_grad():
        before = loss(params, x, y).item()
    for step in range(loaded.plan.steps):
        inputs, targets = x, y
        if batches is not None:
            inputs, targets = x[batches[step]], y[batches[step]]
        gradients = torch.autograd.grad(loss(params, inputs, targets), params)
        with torch.no_grad():
            torch._foreach_add_(params, gradients, alpha=-trial.lr)
    with torch.no_grad():
        return before, loss(params, x, y).item()


def bowl(params: list[Tensor], curvature: Tensor, _: Tensor) -> Tensor:
    """Return (w' Q w) / 2; the curvature is a matrix, or its eigenvalues."""
    (point,) = params
    pull = curvature @ point if curvature.ndim == 2 else curvature * point
    return 0.5 * point.dot(pull)


def least_squares(params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return half the mean squared residual."""
    weight, bias = params
    return 0.5 * functional.mse_loss(torch.addmm(bias, x, weight), y)


def softmax(params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy of linear predictions."""
    weight, bias = params
    return functional.cross_entropy(torch.addmm(bias, x, weight), y)


def mlp(params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy of one hidden layer of ReLU."""
    weight1, bias1, weight2, bias2 = params
    hidden = functional.linear(x, weight1, bias1).relu()
    return functional.cross_entropy(functional.linear(hidden, weight2, bias2), y)


def cnn(params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy of two convolutions, each with ReLU and pooling."""
    *convolutions, weight, bias = params
    for filters, offset in zip(convolutions[::2], convolutions[1::2], strict=True):
        padding = filters.shape[-1] // 2 if filters.shape[-1] == 3 else 0
        x = functional.conv2d(x, filters, offset, padding=padding)
        x = functional.max_pool2d(x.relu(), 2)
    return functional.cross_entropy(functional.linear(x.flatten(1), weight, bias), y)


LOSSES: dict[str, Loss] = {
    "quadratic": bowl,
    "linear-regression": least_squares,
    "softmax-regression": softmax,
    "mlp": mlp,
    "own-loss": mlp,
    "cnn": cnn,
}
