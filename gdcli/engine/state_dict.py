"""A network's numbers as PyTorch keeps them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch

from gdcli.engine.initial import module_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gdcli.problem import Data, Network, StatefulNetwork


def state_dict(
    problem: Network | StatefulNetwork,
    data: Data,
    dtype: str,
    numbers: Mapping[str, NDArray[Any]],
) -> bytes:
    """Return what torch.save makes of the state_dict of the problem's module.

    `numbers` are its parameters and buffers by name. A buffer that is not among them is as the
    module makes it.
    """
    module = module_of(problem, data).to(getattr(torch, dtype))
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    with torch.no_grad():
        for name, array in numbers.items():
            held[name].copy_(torch.from_numpy(array))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.getvalue()
