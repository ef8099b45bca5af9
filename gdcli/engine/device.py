"""Where arrays live: NumPy on the CPU, torch on the CPU or a GPU; how glibc hands out memory."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from gdcli.errors import UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Array

# NVIDIA's driver on Linux and Windows, AMD's runtime, which PyTorch calls CUDA too.
DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")
CACHE = 2**17  # numbers that fit a processor's cache


@dataclass(frozen=True)
class Device(ABC):
    """A place for arrays of one precision."""

    dtype: str  # "float32" or "float64"

    eager: bool = True  # reading a number waits for no other device

    @property
    def at_once(self) -> int:
        """How many numbers are best computed at a time: a cacheful, or plenty for a GPU."""
        return CACHE if self.eager else 2**24

    @abstractmethod
    def array(self, values: NDArray[Any]) -> Array:
        """Return values on this device; floating-point ones in its precision."""

    @abstractmethod
    def host(self, array: Array) -> NDArray[Any]:
        """Return an array of this device as a NumPy array."""


class NumPy(Device):
    """The CPU, without torch."""

    def array(self, values: NDArray[Any]) -> Array:
        """Return a NumPy array."""
        import numpy as np

        return np.asarray(values, self.dtype if values.dtype.kind == "f" else None, order="C")

    def host(self, array: Array) -> NDArray[Any]:
        """Return the array itself."""
        held: NDArray[Any] = array
        return held


@dataclass(frozen=True)
class Torch(Device):
    """A device of PyTorch."""

    name: str = "cpu"

    def array(self, values: NDArray[Any]) -> Array:
        """Return a tensor on the device."""
        import numpy as np
        import torch

        dtype = self.dtype if values.dtype.kind == "f" else None
        return torch.from_numpy(np.array(values, dtype, order="C")).to(self.name)

    def host(self, array: Array) -> NDArray[Any]:
        """Return a copy on the host; waits for the device."""
        held: NDArray[Any] = array.detach().cpu().numpy()
        return held


def resolve(name: str, *, networks: bool) -> str:
    """Return "cpu" or the name of a CUDA device; `networks` says whether auto may mean one.

    Raises UserError for another name, and for a CUDA device that is not there.
    """
    if name == "cpu" or (name == "auto" and not networks):
        return "cpu"
    kind, _, index = name.partition(":")
    if name != "auto" and (
        kind != "cuda" or (":" in name and not re.fullmatch(r"\d{1,9}", index, re.ASCII))
    ):
        meant = name.lower().replace("gpu", "cuda")
        known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", meant, re.ASCII)
        fix = f"did you mean '{meant}'?" if known else "give auto, cpu, cuda or cuda:0"
        raise UserError("--device", f"{show(name)} is not a device", fix)
    there = _devices()
    if name == "auto":
        return "cuda:0" if there else "cpu"
    if int(index or 0) >= there:
        what = f"{name} is not there: there are {there} CUDA devices"
        raise UserError("--device", what, "use --device cpu")
    return f"cuda:{int(index or 0)}"


def _devices() -> int:
    """Return how many CUDA devices PyTorch sees; without a driver torch is not imported for it."""
    if not any(map(_loads, DRIVERS)):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def device_for(name: str, dtype: str, *, networks: bool) -> Device:
    """Return the device of a resolved name: NumPy for toy and convex problems on the CPU."""
    if networks or name != "cpu":
        return Torch(dtype, eager=name == "cpu", name=name)
    return NumPy(dtype)


def torch_facts(name: str) -> dict[str, str]:
    """Return what torch's bits on a resolved device depend on."""
    import torch

    facts = {
        "torch": torch.__version__,
        "torch_simd": torch.backends.cpu.get_cpu_capability(),
        "mkl_cbwr": os.environ.get("MKL_CBWR", ""),
    }
    if name != "cpu":
        facts |= {"gpu": torch.cuda.get_device_name(name), "cuda": torch.version.cuda or ""}
    return facts


MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt's names for them, in malloc.h
LARGEST = 2**31 - 1
OFTEN = 2**29  # bytes of freed arrays, after which free memory is returned


@cache
def keep_memory() -> None:
    """Make glibc keep freed memory for the next array instead of returning it to the system.

    A step makes and frees the same arrays again and again. Fetching each from the system, page by
    page, costs up to half of the time of a pass. On other systems this does nothing.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version"):
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, LARGEST)


class _Spent:
    """Bytes of arrays that were made and freed since memory was given back."""

    count = 0


def give_back(made: int) -> None:
    """Count freed bytes; now and then return free memory to the system.

    Freed arrays leave gaps between the few numbers that are kept of each pass, and the next arrays
    do not fit into the gaps: without this, the process holds several times what it uses.
    """
    _Spent.count += made
    if _Spent.count < OFTEN or sys.platform != "linux":
        return
    _Spent.count = 0
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
