"""Code of one trial, computed for all trials of a stack, and the way out of it to the stack.

It is what torch.func.vmap does, by the functions that it calls: a tensor with an axis of trials is
wrapped so that the code does not see that axis. torch.func.vmap and autograd.Function, the public
way in and out, take longer than the step of a small network: nearly all of it goes into taking
nested arguments apart, which are plain dictionaries here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor
from torch._C import _functorch
from torch._functorch.predispatch import lazy_load_decompositions
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch._functorch.vmap import vmap_increment_nesting

from gdcli.engine.programs.vmap import uncompiled


def mapped(function: Callable[..., Any], trials: int, given: Sequence[Any]) -> Any:
    """Return a function of one trial's arguments, for all trials.

    Arguments and result are tensors, or dictionaries and tuples of them as deep as they like; those
    of the stack have the trials first. Raises TypeError for a result that holds anything else.
    """
    with uncompiled():
        lazy_load_decompositions()
        with vmap_increment_nesting(trials, "error") as level:
            own = [_each(tree, lambda array: _into(array, level)) for tree in given]
            found = function(*own)
            return _each(found, lambda array: _out_of(array, level, trials))


def _into(array: Tensor, level: int) -> Tensor:
    return _functorch._add_batch_dim(array, 0, level)  # noqa: SLF001 -- as vmap calls it


def _out_of(array: Tensor, level: int, trials: int) -> Tensor:
    return _functorch._remove_batch_dim(array, level, trials, 0)  # noqa: SLF001 -- as vmap calls it


def of_the_stack(function: Callable[..., Any], trials: int, given: Sequence[Any]) -> Any:
    """Call a function of stacked arguments from within `mapped`; return one trial's part of it.

    Arguments and result are as those of `mapped`.
    """
    level = cast("int", _functorch.maybe_current_level())
    stacked = [_each(tree, lambda array: _stacked(array, trials, level)) for tree in given]
    with temporarily_pop_interpreter_stack():
        found = function(*stacked)
    return _each(found, lambda array: _into(array, level))


def _stacked(array: Tensor, trials: int, level: int) -> Tensor:
    """Return a tensor with the trials first."""
    if _functorch.maybe_get_level(array) != level:
        return array.expand(trials, *array.shape)
    held: Tensor = _functorch.get_unwrapped(array)
    return held.movedim(_functorch.maybe_get_bdim(array), 0)


def _each(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return a function of every tensor in dictionaries and tuples."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {name: _each(part, function) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_each(part, function) for part in tree)
    raise TypeError(f"a method keeps and returns tensors by name, not {type(tree).__name__}")
