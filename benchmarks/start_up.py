"""Start-up: small commands as whole processes, beside what they cannot go below."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.command import run, seconds
from benchmarks.whole_process import results

if TYPE_CHECKING:
    from benchmarks.result import Result

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart-linear.toml"
GDCLI = ("-m", "gdcli")
LIMIT = 0.45  # seconds
TORCH = 1.25  # times the import of torch
COMMANDS: dict[str, dict[str, tuple[str, ...]]] = {
    "gdcli run quadratic --lr 0.1": {
        "gdcli": (*GDCLI, "run", "quadratic", "--lr=0.1", "--output={out}"),
        "import numpy": ("-c", "import numpy"),
    },
    "gdcli sweep experiments/quickstart-linear.toml": {
        "gdcli": (*GDCLI, "sweep", str(QUICKSTART), "--output={out}"),
    },
    "gdcli run mlp --lr 0.1 --steps 1": {
        "gdcli": (*GDCLI, "run", "mlp", "--lr=0.1", "--steps=1", "--output={out}"),
        "import torch": ("-c", "import torch"),
    },
}


def measure(title: str, repeats: int) -> list[Result]:
    """Return the times of a command and of what it is held against, in turns."""
    commands = COMMANDS[title]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, arguments in commands.items():
            times[name].append(seconds(arguments))
    torch = "import torch" in commands
    limits = {} if torch else {"gdcli": LIMIT}
    goals = {"import torch": 1 / TORCH} if torch else {}
    found = results("start-up", title, times, limits=limits, goals=goals)
    note = "torch was imported" if _imports_torch(commands["gdcli"]) else "torch was not imported"
    return [replace(found[0], note=note), *found[1:]]


def _imports_torch(arguments: tuple[str, ...]) -> bool:
    with TemporaryDirectory() as folder:
        errors = run(("-X", "importtime", *arguments), Path(folder)).errors
    return re.search(r"\| +torch$", errors, re.MULTILINE) is not None
