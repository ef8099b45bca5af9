"""Code for all trials of a stack at once, called from code of one trial that vmap maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch._C._functorch import (
    _add_batch_dim,
    get_unwrapped,
    is_batchedtensor,
    maybe_get_bdim,
    maybe_get_level,
)
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack

if TYPE_CHECKING:
    from collections.abc import Callable


def together(function: Callable[..., tuple[Tensor, ...]], *given: Any) -> tuple[Tensor, ...]:
    """Call a function of tensors with any leading axes; under vmap, with those of all trials.

    To vmap it is one operation: mapping many small ones, each by itself, takes several times as
    long as computing them. An autograd.Function with a rule for vmap does the same in public words,
    and takes longer than what is saved.
    """
    level = max(map(_level, given))
    if level < 0:
        return function(*given)
    size = next(_batched(one).shape[0] for one in given if _level(one) == level)

    def stacked(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return _batched(one) if _level(one) == level else one.expand(size, *one.shape)

    arguments = [stacked(one) for one in given]
    with temporarily_pop_interpreter_stack():
        found = function(*arguments)
    return tuple(_add_batch_dim(one, 0, level) for one in found)


def _level(one: Any) -> int:
    """Return the vmap that a tensor is mapped by, the innermost the highest; -1: by none."""
    return maybe_get_level(one) if isinstance(one, Tensor) and is_batchedtensor(one) else -1


def _batched(one: Tensor) -> Tensor:
    """Return a mapped tensor with its trials first."""
    return get_unwrapped(one).movedim(maybe_get_bdim(one), 0)
