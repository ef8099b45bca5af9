"""Which array library an array belongs to, and a choice by the number of the step."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any


def namespace(array: Any) -> Any:
    """Return the array-API namespace of an array: numpy itself, or array_api_compat's torch.

    NumPy 2 is such a namespace already, and array_api_compat.numpy would cost 0.1 s at every
    start of a run that needs no torch.
    """
    own = getattr(array, "__array_namespace__", None)
    return _torch() if own is None else own()


@cache
def _torch() -> SimpleNamespace:
    """Return array_api_compat's torch with a `sign` that torch.func.vmap maps, to the same bits."""
    from array_api_compat import torch

    def sign(x: Any, /) -> Any:
        """Return the sign; nan stays nan."""
        return torch.where(x.isnan(), x, x.sign())

    return SimpleNamespace(**{**vars(torch), "sign": sign})


def spread(number: Any, array: Any) -> Any:
    """Return one number a trial, shape (trials,), so that it broadcasts with (trials, ...).

    The number of a single trial stays as it is.
    """
    axes = getattr(number, "ndim", 0)
    return number.reshape(*number.shape, *[1] * (array.ndim - axes)) if axes else number


def either(condition: Any, a: Any, b: Any) -> Any:
    """Return a where a condition on the number of the step holds, else b.

    The number is plain, but an array on a GPU, because a CUDA graph records one step for all.
    """
    if isinstance(condition, bool):
        return a if condition else b
    return namespace(a).where(condition, a, b)
