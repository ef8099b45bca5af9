"""What a bug report needs: the fingerprint, devices, threads, versions, extras and data."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from gdcli import __version__
from gdcli.datasets.images import SETS, installed, system_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each in a process of its own: a broken library may end it, as by an illegal instruction.
NUMPY = """
from gdcli.runs.fingerprint import fingerprint
print(json.dumps(fingerprint("cpu", torch=False)))
"""
TORCH = """
import torch
from gdcli.engine.device import torch_facts
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(count)]
print(json.dumps({**torch_facts("cpu"), "devices": ", ".join(["cpu", *gpus])}))
"""
PATIENCE = 120  # seconds; torch takes a few, from a slow disk many
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def diagnose() -> dict[str, str]:
    """Return versions, devices, threads and data by name; broken or missing parts say so."""
    facts: dict[str, Any] = {
        "gdcli": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": ", ".join(f"{name}={os.environ.get(name, '')}" for name in THREADS),
        **_asked(NUMPY, "numpy", leave=("gdcli", "python", "device", "threads")),
        **_asked(TORCH, "torch"),
        **dict(_requirements()),
        **{f"dataset {name}": _folder(name) for name in SETS},
    }
    return {name: _text(value) for name, value in facts.items()}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _asked(code: str, name: str, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the JSON that `code` prints in a process of its own, or under `name` why it failed."""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-c", f"import json\n{code}"]
    try:
        done = subprocess.run(  # noqa: S603 -- a fixed program
            command, capture_output=True, text=True, check=False, timeout=PATIENCE, env=here
        )
        if done.returncode < 0:
            name_of_signal = signal.Signals(-done.returncode).name
            return {name: f"broken: importing it ends the process ({name_of_signal})"}
        found = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {name: f"broken: importing it takes more than {PATIENCE} s"}
    except (IndexError, ValueError):
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return {name: f"broken: {reason}"}
    return {key: value for key, value in found.items() if key not in leave}


def _requirements() -> Iterator[tuple[str, str]]:
    """Yield the versions of the dependencies, and the missing packages of each extra."""
    try:
        required = metadata.requires("gdcli") or []
    except metadata.PackageNotFoundError:
        yield "dependencies", "unknown: gdcli is not installed, but run from its folder"
        return
    extras: dict[str, list[str]] = {}
    for requirement in required:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if extra:
            extras.setdefault(extra[1], []).append(name)
        elif name not in ("numpy", "torch"):  # their versions are in the fingerprint
            yield name, _version(name) or "missing"
    for extra_name, names in extras.items():
        lacking = [name for name in names if _version(name) is None]
        yield f"extra {extra_name}", f"lacks {', '.join(lacking)}" if lacking else "installed"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _folder(name: str) -> str:
    folder = installed(name)
    return str(folder or "not in " + " or ".join(map(str, system_folders(name))))
