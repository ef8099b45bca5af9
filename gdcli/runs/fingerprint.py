"""What the bits of a result depend on besides the experiment."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import struct
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import gdcli
from gdcli import __version__
from gdcli.engine.device import torch_facts

# Where numbers and the lines of the tables are made.
FOLDERS = (
    *("datasets", "engine"),
    *("optimizers", "problem", "problems", "schedules"),
)
FILES = (
    *("arrays.py", "formula.py", "optimizer.py", "schedule.py"),
    *("catalog/catalog.py", "experiment/grid.py"),
    *("runs/rows.py", "runs/shortest.py", "runs/work.py"),
)
OPENBLAS = "scipy_openblas_get_corename64_"  # as the wheels of NumPy bring it along


def fingerprint(device: str, *, torch: bool, packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return versions, the processor's vector units, device and threads.

    `packages` are those that a problem brings along, by the names that they are imported under.
    """
    import numpy as np

    found = {
        "gdcli": __version__,
        "source": source(),
        "libm": _libm(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": _blas(),
        "machine": platform.machine(),
        "simd": np.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
        "device": device,
        "threads": os.environ.get("OMP_NUM_THREADS", ""),  # also a list, such as 4,2
    }
    found |= {name: _version(name) for name in packages}
    return found | torch_facts(device) if torch else found


@cache
def source() -> str:
    """Return 12 hex digits that stand for the code that makes the numbers, whatever its version."""
    digest, home = hashlib.sha256(), Path(gdcli.__file__).parent
    files = [home / name for name in FILES]
    files += [file for folder in FOLDERS for file in (home / folder).rglob("*.py")]
    for file in sorted(files):
        content = file.read_bytes().replace(b"\r\n", b"\n")  # as git may write them
        digest.update(f"{file.relative_to(home).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


@cache
def _libm() -> str:
    """Return 12 hex digits that stand for how the C library rounds what it approximates."""
    numbers = [0.37 * k for k in range(1, 60)]
    found = [f(x) for f in (math.exp, math.log, math.sin, math.cos, math.tanh) for x in numbers]
    found += [math.pow(x, y) for x, y in pairwise(numbers)]
    return hashlib.sha256(struct.pack(f"{len(found)}d", *found)).hexdigest()[:12]


def _version(package: str) -> str:
    """Return a package's version, which may be distributed under several names; "" if missing."""
    from importlib import metadata  # as slow to import as typer

    names = metadata.packages_distributions().get(package, [])
    return metadata.version(names[0]) if names else ""


def _blas() -> str:
    """Return what NumPy multiplies matrices with, and for which processor it does.

    OpenBLAS has a kernel for each kind of processor, chosen when it is loaded, and each adds up
    in an order of its own. Where the library is another one, its name must do.
    """
    import numpy as np

    for file in (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*"):
        core = getattr(ctypes.CDLL(str(file)), OPENBLAS, None)
        if core is not None:
            core.restype = ctypes.c_char_p
            return f"openblas {core().decode()}"
    return str(np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name", ""))
