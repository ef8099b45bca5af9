"""Trials that raise an exception in a study: they are named and left out, the others are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.engine.batch import TrialBatch, batches_of
from gdcli.errors import RunError, UserError
from gdcli.runs.work import isolated
from tests.grids import experiment

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from tests.cli.command_line import Shell

NET = '''\
"""A network that does not take every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import nn

from gdcli.problem import Data, Network


class Refusing(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if float(self.weight.detach().abs().max()) > self.most:
            raise ValueError("a weight is [too] large")
        return super().forward(x)


@dataclass(frozen=True)
class Raising(Network):
    """A linear layer, after batch norm where asked for."""

    normed: Annotated[bool, "batch norm before it"] = False
    most: Annotated[float, "largest weight"] = 3.0
    criterion: ClassVar[str] = "mse"
    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 5

    def load(self, rng):
        x = rng.standard_normal((33, 3))
        return Data(train={"x": x, "y": x[:, :1] - 2 * x[:, 1:2]})

    def module(self, data):
        if self.normed:
            return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
        layer = Refusing(3, 1)
        layer.most = self.most
        return layer
'''
ONE = "ValueError: batch norm has one value a channel in this batch: it needs two"
SMALL = ("--resolution", "3", "--format", "csv")
FOLDER = ("--folder", "explored", "--format", "csv")


@pytest.fixture
def net(shell: Shell) -> str:
    """Return the file of a network that raises."""
    return "./" + shell.write("raising.py", NET)


@pytest.mark.parametrize("command", [("landscape", SMALL), ("explore", FOLDER)])
def test_a_trial_that_raises_is_named_and_left_out(
    shell: Shell, net: str, command: tuple[str, tuple[str, ...]]
) -> None:
    name, form = command
    assert shell(name, net, "--lr", "0.01,1.5,2", "--epochs", "9", *form) == 1
    (kept, *_) = [line.split(",") for line in shell.out.splitlines() if ",0.01," in line]
    last = shell.errors[-1]
    said = "left out: 2 trials that failed (the first: gd vanilla, lr 1.5, seed 0): ValueError: "
    assert last == f"{said}a weight is [too] large"
    alone = [part.replace("explored", "alone") for part in form]
    assert shell(name, net, "--lr", "0.01", "--epochs", "9", *alone) == 0
    assert shell.out.splitlines()[1].split(",") == kept


@pytest.mark.parametrize("command", [("landscape", SMALL), ("explore", FOLDER)])
def test_where_every_trial_raises_that_is_the_error(
    shell: Shell, net: str, command: tuple[str, tuple[str, ...]]
) -> None:
    name, form = command
    batches = ("--normed", "--method", "minibatch", "--batch-size", "32,16")
    assert shell(name, net, *batches, *form) == 1
    assert shell.errors[-1].startswith(f"error: no trial could be trained: {ONE}; ")
    assert not shell.out
    assert not Path("explored").exists()
    assert shell(name, net, *batches, "--remainder", "drop", *form) == 0


def test_a_plane_whose_loss_raises_is_no_internal_error(shell: Shell, net: str) -> None:
    wide = ("--directions", "random", "--x-range=-99,99")
    assert shell("landscape", net, "--lr", "0.01", *wide, *SMALL) == 1
    assert shell.errors[-1].startswith("error: the loss over the plane cannot be computed: ")


def batch(count: int) -> TrialBatch:
    rates = ",".join(str(0.01 * (i + 1)) for i in range(count))
    return batches_of(experiment("quadratic", lr=rates).grid.cohorts)[0]


def test_the_trials_beside_those_that_raise_are_trained() -> None:
    whole = batch(7)
    bad = {whole.trials[2], whole.trials[5]}
    parts: list[int] = []

    def work(part: TrialBatch) -> list[Trial]:
        if bad & set(part.trials):
            raise ValueError("one\nof\x1bthem")
        parts.append(len(part.trials))
        return list(part.trials)

    failed: dict[Trial, str] = {}

    def note(trial: Trial, message: str) -> list[Trial]:
        failed[trial] = message
        return []

    found = [trial for part in isolated(whole, "cpu", work, note) for trial in part]
    assert found == [trial for trial in whole.trials if trial not in bad]
    assert failed == dict.fromkeys(bad, r"ValueError: one\nof\x1bthem")


@pytest.mark.parametrize("error", [UserError("a", "b", "c"), MemoryError(), OSError("disk")])
def test_what_the_machine_does_is_no_trial_s_failure(error: Exception) -> None:
    def work(_: TrialBatch) -> None:
        raise error

    with pytest.raises(type(error)):
        isolated(batch(2), "cpu", work, lambda *_: None)


class OutOfMemoryError(Exception):
    """As torch calls it."""


LACKS = [
    MemoryError(),
    OutOfMemoryError("full"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
]


@pytest.mark.parametrize("error", LACKS)
def test_where_memory_lacks_fewer_trials_are_computed_at_a_time(error: Exception) -> None:
    def work(part: TrialBatch) -> list[Trial]:
        if len(part.trials) > 2:
            raise error
        return list(part.trials)

    whole = batch(7)
    found = isolated(whole, "cpu", work, lambda *_: pytest.fail("no trial has failed"))
    assert [trial for part in found for trial in part] == list(whole.trials)


@pytest.mark.parametrize("error", LACKS)
def test_a_lack_of_memory_for_one_trial_is_the_machine_s(error: Exception) -> None:
    def work(_: TrialBatch) -> None:
        raise error

    for device, raised in (("cpu", MemoryError), ("cuda:0", RunError)):
        with pytest.raises(raised):
            isolated(batch(2), device, work, lambda *_: None)
