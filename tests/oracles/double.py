"""What references need that round to single precision in between."""

from __future__ import annotations

from typing import Any

import torch


class Double:
    """The module torch, in which single precision is double precision."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)
