"""Where and when the times were taken."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "torch")
RIVALS = ("jax", "jaxlib", "scikit-learn", "benchopt")


def where(device: str, *, rivals: bool = True) -> str:
    """Return the date, the processor and the versions, in one line."""
    packages = PACKAGES if device != "cpu" or not rivals else PACKAGES + RIVALS
    named = ", ".join(f"{name} {version(name)}" for name in packages)
    return "; ".join(
        (
            datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            _processor() if device == "cpu" else f"{_gpu(device)} and {_processor()}",
            f"Python {platform.python_version()}, {named}",
        )
    )


def _processor() -> str:
    """Return the processor's name and how many of its cores there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def _gpu(device: str) -> str:
    import torch

    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
