"""Code of one trial, computed for all trials of a stack, and code of the whole stack within it.

It is what torch.func.vmap does, by the functions that it calls: a tensor with an axis of trials is
wrapped so that the code does not see that axis. torch.func.vmap and autograd.Function, the public
ways in and out, take longer than the step of a small network: nearly all of it goes into taking
nested arguments apart, which are plain dictionaries here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch._C import _functorch
from torch._functorch.predispatch import lazy_load_decompositions
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch._functorch.vmap import vmap_increment_nesting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def mapped(function: Callable[..., Any], trials: int, given: Sequence[Any]) -> Any:
    """Return a function of one trial's arguments, for all trials.

    Arguments and result are tensors, or dictionaries and tuples of them as deep as they like; those
    of the stack have the trials first. Raises TypeError for a result that holds anything else.
    """
    lazy_load_decompositions()
    with vmap_increment_nesting(trials, "error") as level:
        own = [each(tree, lambda array: _into(array, level)) for tree in given]
        found = function(*own)
        return each(found, lambda array: _out_of(array, level, trials))


def together(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function whose tensors may have further axes in front: here, that of the trials.

    Within `mapped` or torch.func.vmap it is called once, for all trials: mapping many small
    operations, each by itself, takes several times as long as computing them. Elsewhere it is a
    plain call. Arguments and result are as those of `mapped`, but what is neither tensor nor
    dictionary nor tuple is passed on as it is.
    """
    if _functorch.peek_interpreter_stack() is None:
        return function(*given)
    found = [tensor for tree in given for tensor in tensors(tree)]
    level = max(map(_level, found))
    if level < 0:
        return function(*given)
    trials = next(_trials_first(one).shape[0] for one in found if _level(one) == level)

    def stacked(array: Any) -> Any:
        if not isinstance(array, Tensor):
            return array
        if _level(array) == level:
            return _trials_first(array)
        return array.expand(trials, *array.shape)

    arguments = [each(tree, stacked) for tree in given]
    with temporarily_pop_interpreter_stack():
        result = function(*arguments)
    return each(result, lambda array: _into(array, level))


def _into(array: Any, level: int) -> Tensor:
    if not isinstance(array, Tensor):
        raise TypeError(f"a method keeps and returns tensors by name, not {type(array).__name__}")
    return _functorch._add_batch_dim(array, 0, level)  # noqa: SLF001 -- as vmap calls it


def _out_of(array: Any, level: int, trials: int) -> Tensor:
    if not isinstance(array, Tensor):
        raise TypeError(f"a method keeps and returns tensors by name, not {type(array).__name__}")
    return _functorch._remove_batch_dim(array, level, trials, 0)  # noqa: SLF001 -- as vmap calls it


def _level(array: Tensor) -> int:
    """Return the mapping that a tensor belongs to, the innermost the highest; -1: to none."""
    return _functorch.maybe_get_level(array) if _functorch.is_batchedtensor(array) else -1


def _trials_first(array: Tensor) -> Tensor:
    """Return a tensor of a mapping with the trials first."""
    held: Tensor = _functorch.get_unwrapped(array)
    return held.movedim(_functorch.maybe_get_bdim(array), 0)


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors in dictionaries and tuples, as deep as they are."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from tensors(part)
    elif isinstance(tree, tuple):
        for part in tree:
            yield from tensors(part)


def each(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Return a function of everything in dictionaries and tuples, as deep as they are.

    torch.utils._pytree.tree_map does the same for more kinds of containers, and slower.
    """
    if isinstance(tree, dict):
        return {name: each(part, function) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(each(part, function) for part in tree)
    return function(tree)
