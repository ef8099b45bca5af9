"""Which array library an array belongs to."""

from __future__ import annotations

from typing import Any


def namespace(array: Any) -> Any:
    """Return the array-API namespace of an array: numpy itself, or array_api_compat's torch.

    NumPy 2 is such a namespace already, and array_api_compat.numpy would cost 0.1 s at every
    start of a run that needs no torch.
    """
    own = getattr(array, "__array_namespace__", None)
    if own is not None:
        return own()
    from array_api_compat import torch

    return torch
