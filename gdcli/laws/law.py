"""A law, and what came of it.

The fields of a class are options that say what they are.

Small grids that laws are tried on, trained in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from gdcli.catalog.user_code import fault_of
from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.errors import GdcliError
from gdcli.experiment.grid import Axes, Grid, Training, Trial, cohorts_of
from gdcli.fields import options_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdcli.problem import Problem

Law: TypeAlias = Callable[[], str]  # returns what was seen; raises Broken, or whatever it meets


class Broken(Exception):  # noqa: N818 -- a law is broken
    """What breaks a law, in words."""


@dataclass(frozen=True)
class Kept:
    """Whether a law is kept, and what was seen."""

    law: str
    result: Literal["passed", "failed"]
    detail: str


def kept(laws: Iterable[tuple[str, Law]]) -> list[Kept]:
    """Return what came of laws, each by its name; one that is broken ends no other."""
    return [_kept(name, law) for name, law in laws]


def _kept(name: str, law: Law) -> Kept:
    try:
        with np.errstate(all="ignore"):
            return Kept(name, "passed", law())
    except Broken as broken:
        return Kept(name, "failed", str(broken))
    except GdcliError as error:
        return Kept(name, "failed", "; ".join(error.lines))
    except Exception as error:  # noqa: BLE001 -- code of anyone's may raise anything
        fault = fault_of(error)
        what = f"{fault.where}: {fault.what}" if fault else said(error)
        return Kept(name, "failed", " ".join(what.split()))


def require(condition: object, what: str) -> None:
    """Raise Broken, saying what is wrong, unless a condition holds."""
    if not condition:
        raise Broken(what)


def options(cls: type) -> str:
    """Require a phrase of every option, and a default that is a value of it."""
    found = options_of(cls).values()
    for option in found:
        require(option.summary, f"--{option.name} has no phrase: annotate it with one")
        raw = list(option.default) if option.many else option.default
        read = option.read(raw, f"--{option.name}")
        require(read == option.default, f"--{option.name}: {option.default!r} is read as {read!r}")
    return ", ".join(option.name for option in found) or "none"


Curve = dict[str, np.ndarray]
FEW = Training(steps=5, record="step")


def trials_of(
    problem: type[Problem], options: Mapping[str, Any], training: Training = FEW, **axes: Any
) -> tuple[Trial, ...]:
    """Return the trials of a grid on a problem with some options."""
    return Grid(problem, options, Axes(**axes), {}, (), training).trials


def train(trials: tuple[Trial, ...], engine: str = "auto") -> dict[str, Curve]:
    """Return the curves of trials, by their ids."""
    found = {}
    for batch in batches_of(cohorts_of(trials), engine):
        _, curves = train_batch(batch, examples_of(batch.trials[0]), "cpu", lambda _: None)
        for i, trial in enumerate(batch.trials):
            length = int(curves.length[i])
            found[trial.id] = {name: v[:length, i] for name, v in curves.values.items()}
    return found


def alone_as_together(trials: tuple[Trial, ...], chosen: Trial) -> str:
    """Require the same bits of a trial alone as in a grid, in which another one diverges."""
    neighbour = replace(chosen, lr=1e30)
    together = train((*trials, neighbour))[chosen.id]
    for name, values in train((chosen,))[chosen.id].items():
        same = values.tobytes() == together[name].tobytes()
        require(same, f"{name} of {chosen.method} is another one in a grid than alone")
    return f"{chosen.method}: the same bits among {len(trials) + 1} trials"
