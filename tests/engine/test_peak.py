"""A process that is allowed little memory trains what would take a lot at a time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform != "linux":
    pytest.skip("limits of the address space are Linux's", allow_module_level=True)

NET = '''"""Two convolutions with batch norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from gdcli.problem import Data, Network


@dataclass(frozen=True)
class Net(Network):
    """Two convolutions with batch norm."""

    examples: Annotated[int, "training examples", Ge(2)] = 1200

    def load(self, rng):
        x = rng.standard_normal((self.examples, 1, 28, 28))
        return Data(train={"x": x, "y": rng.integers(0, 10, self.examples)})

    def module(self, data):
        from torch import nn

        return nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(16 * 49, 10)),
        )
'''
# What is imported is not what is measured; threads would have address space of their own.
LIMITED = """
import resource, sys
import torch
from gdcli.__main__ import main
torch.set_num_threads(1)
with open("/proc/self/statm") as file:
    held = int(file.read().split()[0]) * resource.getpagesize()
limit = held + int(sys.argv.pop(1)) * 10**6
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main())
"""
MINIBATCH = ("--method", "minibatch", "--batch-size", "64", "--lr", "0.001,0.01")
STEP = (*MINIBATCH, "--steps", "1")
# At once, a recorded point of the two trials takes 540 MB.
COMMANDS = {
    "run": ("run", "./net.py", *STEP, "--workers", "1", "--quiet"),
    "reference": ("run", "./net.py", *STEP, "--workers", "1", "--engine", "reference", "--quiet"),
    "dry run": ("run", "./net.py", *MINIBATCH, "--dry-run"),
    "explore": ("explore", "./net.py", *STEP, "--folder", "map"),
    "landscape": ("landscape", "./net.py", *STEP, "--resolution", "3", "-o", "plane.csv"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_network_takes_a_part_of_its_examples_at_a_time(tmp_path: Path, name: str) -> None:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    command = [sys.executable, "-c", LIMITED, "300", *COMMANDS[name]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def test_what_cannot_be_taken_apart_is_refused_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    command = [sys.executable, "-c", LIMITED, "300", "run", "./net.py", "--memory", "500MB"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --memory: a trial of gd vanilla needs ")
    assert "or --method minibatch --batch-size 32" in done.stderr
    assert not (tmp_path / "results").exists()
