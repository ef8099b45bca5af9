"""What the bits of a result depend on besides the experiment."""

from __future__ import annotations

import os
import platform
from typing import Any

from gdcli import __version__
from gdcli.engine.device import torch_facts


def fingerprint(device: str, *, torch: bool) -> dict[str, Any]:
    """Return versions, the processor's vector units, device and threads."""
    import numpy as np

    found = {
        "gdcli": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
        "device": device,
        "threads": os.environ.get("OMP_NUM_THREADS", ""),  # also a list, such as 4,2
    }
    return found | torch_facts(device) if torch else found
