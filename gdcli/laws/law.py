"""A law and its result, and the small grids that laws are tried on, trained in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from gdcli.catalog.user_code import fault_of
from gdcli.engine.batch import BatchHooks, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.errors import GdcliError
from gdcli.experiment.grid import Axes, Grid, Trial, cohorts_of
from gdcli.experiment.training import Training
from gdcli.fields import options_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdcli.problem import Problem

Law: TypeAlias = Callable[
    [], str
]  # returns what it found; raises Broken, or any exception of the tested code


class Broken(Exception):  # noqa: N818 -- reads as "a law is broken"
    """A law does not hold; the message says why."""


@dataclass(frozen=True)
class Kept:
    """Whether a law holds, and what the test found."""

    law: str
    result: Literal["passed", "failed"]
    detail: str


def kept(laws: Iterable[tuple[str, Law]]) -> list[Kept]:
    """Return the results of laws by name; a broken law does not stop the others."""
    return [_kept(name, law) for name, law in laws]


def _kept(name: str, law: Law) -> Kept:
    try:
        with np.errstate(all="ignore"):
            return Kept(name, "passed", law())
    except Broken as broken:
        return Kept(name, "failed", str(broken))
    except GdcliError as error:
        return Kept(name, "failed", "; ".join(error.lines))
    except Exception as error:  # noqa: BLE001 -- the tested code may raise any exception
        fault = fault_of(error)
        what = f"{fault.where}: {fault.what}" if fault else said(error)
        return Kept(name, "failed", " ".join(what.split()))


def require(condition: object, what: str) -> None:
    """Raise Broken with the message `what` unless a condition holds."""
    if not condition:
        raise Broken(what)


def options(cls: type) -> str:
    """Require a help text and a valid default of every option."""
    found = options_of(cls).values()
    for option in found:
        require(option.summary, f"--{option.name} has no help text: add one to its annotation")
        raw = list(option.default) if option.many else option.default
        read = option.read(raw, f"--{option.name}")
        require(read == option.default, f"--{option.name}: {option.default!r} is read as {read!r}")
    return ", ".join(option.name for option in found) or "none"


Curve = dict[str, np.ndarray]
FEW = Training(steps=5, record="step")


def trials_of(
    problem: type[Problem], options: Mapping[str, Any], training: Training = FEW, **axes: Any
) -> tuple[Trial, ...]:
    """Return the trials of a grid on a problem with given options."""
    return Grid(problem, options, Axes(**axes), {}, (), training).trials


def train(trials: tuple[Trial, ...], engine: str = "auto") -> dict[str, Curve]:
    """Return the curves of trials, by their ids."""
    found = {}
    for batch in batches_of(cohorts_of(trials), engine):
        _, curves = train_batch(batch, examples_of(batch.trials[0]), "cpu", lambda _: None)
        for i, trial in enumerate(batch.trials):
            length = int(curves.length[i])
            found[trial.id] = {name: v[:length, i] for name, v in curves.values.items()}
            if curves.seen is not None:
                found[trial.id]["examples"] = curves.seen[:length, i]
    return found


class Memory:
    """Keeps every state of a training; it goes on from the one that is `chosen`."""

    def __init__(self, chosen: dict[str, Any] | None = None) -> None:
        """Take the state to go on from; None: begin."""
        self.chosen = chosen
        self.states: list[dict[str, Any]] = []

    def due(self) -> bool:
        """Return whether a state is to be kept: every one."""
        return True

    def save(self, arrays: dict[str, Any]) -> None:
        """Keep a copy of a state."""
        self.states.append({name: np.array(array) for name, array in arrays.items()})

    def load(self) -> dict[str, Any] | None:
        """Return the chosen state."""
        return self.chosen


def resumed_as_whole(trials: tuple[Trial, ...]) -> int:
    """Require equal bits of a training that goes on from any kept state; return their number.

    The trials are of one cohort. Nothing is kept of trials that run one at a time.
    """
    batch = batches_of(cohorts_of(trials))[0]
    data, memory = examples_of(trials[0]), Memory()

    def trained(memory: Memory) -> tuple[bytes, ...]:
        _, curves = train_batch(batch, data, "cpu", lambda _: None, BatchHooks(memory))
        seen = [] if curves.seen is None else [curves.seen]
        arrays = *curves.values.values(), curves.length, curves.ended, *seen
        return *(array.tobytes() for array in arrays), repr(curves.steps).encode()

    whole = trained(memory)
    for state in memory.states:
        step = int(state["step"])
        require(trained(Memory(state)) == whole, f"what goes on from step {step} differs")
    return len(memory.states)


def alone_as_together(trials: tuple[Trial, ...], chosen: Trial) -> str:
    """Require equal bits of a trial alone and in a grid in which another trial diverges."""
    neighbour = replace(chosen, lr=1e30)
    together = train((*trials, neighbour))[chosen.id]
    for name, values in train((chosen,))[chosen.id].items():
        same = values.tobytes() == together[name].tobytes()
        require(same, f"{name} of {chosen.method} differs between a grid and the trial alone")
    return f"{chosen.method}: the same bits among {len(trials) + 1} trials"
