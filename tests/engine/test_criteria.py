"""What a network's outputs cost, against torch.nn.functional and autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gdcli.engine.criteria import CRITERIA, one_hot

if TYPE_CHECKING:
    from collections.abc import Callable

TRIALS, OUTPUTS = 3, 4


def drawn(*shape: int) -> Tensor:
    """Return normal numbers, the same at every call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def classes(batch: int) -> Tensor:
    """Return classes of which every one is there."""
    return torch.arange(batch) % OUTPUTS


@pytest.mark.parametrize("scale", [1.0, 1e-9, 300.0])
@pytest.mark.parametrize("batch", [4, 11])
@pytest.mark.parametrize("shared", [True, False])
def test_cross_entropy_and_its_slope(batch: int, scale: float, shared: bool) -> None:  # noqa: FBT001
    z = scale * drawn(TRIALS, OUTPUTS, batch)
    own = [classes(batch).roll(0 if shared else i) for i in range(TRIALS)]
    rows = torch.stack(
        [one_hot(y, OUTPUTS, torch.float64).T for y in own[: 1 if shared else TRIALS]]
    )
    loss, slope = CRITERIA["cross_entropy"].cost(z, rows), CRITERIA["cross_entropy"].slope(z, rows)
    for i, y in enumerate(own):
        expected, gradient = by_autograd(functional.cross_entropy, z[i], y)
        torch.testing.assert_close(loss[i] / batch, expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(slope[i] / batch, gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("shared", [True, False])
def test_mse_and_its_slope(batch: int, shared: bool) -> None:  # noqa: FBT001
    z = drawn(TRIALS, OUTPUTS, batch)
    targets = drawn(1 if shared else TRIALS, OUTPUTS, batch) - 0.5
    loss, slope = CRITERIA["mse"].cost(z, targets), CRITERIA["mse"].slope(z, targets)
    for i in range(TRIALS):
        target = targets[0 if shared else i].T
        expected, gradient = by_autograd(functional.mse_loss, z[i], target)
        torch.testing.assert_close(loss[i] / batch, expected, rtol=1e-13, atol=1e-15)
        torch.testing.assert_close(slope[i] / batch, gradient, rtol=1e-13, atol=1e-15)


def by_autograd(
    criterion: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of one trial's outputs (outputs, batch), and its gradient."""
    z = z.clone().requires_grad_()
    loss = criterion(z.T, y)
    (gradient,) = torch.autograd.grad(loss, z)
    return loss.detach(), gradient


def test_saturated_outputs_cost_what_they_are_off() -> None:
    z = torch.tensor([[[1000.0, 0.0], [0.0, 1000.0]]])
    right, wrong = torch.tensor([0, 1]), torch.tensor([1, 0])
    criterion = CRITERIA["cross_entropy"]
    assert criterion.cost(z, one_hot(right, 2, torch.float32).T[None]).item() == 0.0
    targets = one_hot(wrong, 2, torch.float32).T[None]
    assert criterion.cost(z, targets).item() == 2000.0
    assert criterion.slope(z, targets).tolist() == [[[1.0, -1.0], [-1.0, 1.0]]]


def test_accuracy_counts_the_predictions_that_are_right() -> None:
    z, y = drawn(TRIALS, OUTPUTS, 50), classes(50)
    targets = one_hot(y, OUTPUTS, torch.float64).T[None]
    right = CRITERIA["cross_entropy"].scores(z, targets)["accuracy"]
    expected = [sum(int(z[i, :, j].argmax() == y[j]) for j in range(50)) for i in range(TRIALS)]
    assert right.tolist() == expected
    assert 0 < min(expected) < max(expected) < 50


def test_one_hot_rows_have_a_one_at_their_class() -> None:
    rows = one_hot(torch.tensor([2, 0]), 4, torch.float32)
    assert rows.dtype == torch.float32
    assert rows.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_a_tie_and_a_number_that_is_none_are_not_right() -> None:
    z = torch.tensor([[[1.0], [1.0]], [[torch.nan], [0.0]], [[torch.inf], [0.0]]])
    targets = one_hot(torch.tensor([0]), 2, torch.float32).T[None]
    assert CRITERIA["cross_entropy"].scores(z, targets)["accuracy"].tolist() == [0, 0, 1]
