"""What the bits of a result depend on besides the experiment."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

from gdcli import __version__
from gdcli.engine.device import torch_facts

OPENBLAS = "scipy_openblas_get_corename64_"  # as the wheels of NumPy bring it along


def fingerprint(device: str, *, torch: bool, packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return versions, the processor's vector units, device and threads.

    `packages` are those that a problem brings along, by the names that they are imported under.
    """
    import numpy as np

    found = {
        "gdcli": __version__,
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
