from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gdcli.mapped import together


def both(a: Tensor, b: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Return two results of different shapes, for any leading axes."""
    return factor * a * b[..., None], (a * a).sum(-1) + b


def of_one(a: Tensor, b: Tensor) -> Any:
    return together(both, a, b, 3.0)


def equal(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(found, wanted, strict=True))


def test_without_vmap_it_is_the_function() -> None:
    a, b = torch.arange(4.0), torch.tensor(2.0)
    assert equal(of_one(a, b), both(a, b, 3.0))


def test_under_vmap_it_is_called_once_for_all_trials() -> None:
    a, b = torch.arange(12.0).view(3, 4), torch.arange(3.0)
    calls = []

    def counted(a: Tensor, b: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        calls.append(a.shape)
        return both(a, b, factor)

    found = torch.func.vmap(lambda a, b: together(counted, a, b, 3.0))(a, b)
    assert calls == [(3, 4)]
    assert equal(found, both(a, b, 3.0))


def test_what_all_trials_share_is_repeated() -> None:
    a, b = torch.arange(4.0), torch.arange(3.0)
    found = torch.func.vmap(of_one, in_dims=(None, 0))(a, b)
    assert equal(found, both(a.expand(3, 4), b, 3.0))


def test_the_trials_may_be_on_another_axis_and_the_result_be_used_on() -> None:
    a, b = torch.arange(12.0).view(4, 3), torch.arange(3.0)

    def on(a: Tensor, b: Tensor) -> Tensor:
        first, second = of_one(2 * a, b)
        total: Tensor = first.sum() + second
        return total

    first, second = both(2 * a.mT, b, 3.0)
    found = torch.func.vmap(on, in_dims=(1, 0))(a, b)
    assert torch.equal(found, first.sum(1) + second)


def test_a_vmap_within_a_vmap_maps_twice() -> None:
    a, b = torch.arange(24.0).view(2, 3, 4), torch.arange(6.0).view(2, 3)
    assert equal(torch.func.vmap(torch.func.vmap(of_one))(a, b), both(a, b, 3.0))
    within = torch.func.vmap(torch.func.vmap(of_one, in_dims=(None, 0)), in_dims=(0, 0))
    assert equal(within(a[:, 0], b), both(a[:, :1].expand(2, 3, 4), b, 3.0))
