"""Budget, recording, stopping and data order of an experiment: the same for all of its trials."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from gdcli.catalog.catalog import MEASURES
from gdcli.catalog.user_code import is_own
from gdcli.errors import UserError
from gdcli.experiment.scheduled import Scheduled, scheduled
from gdcli.fields import LATER, WHOLE, show

if TYPE_CHECKING:
    from gdcli.measure import Measure


MOST_STEPS = 2**53 - 1  # beyond it a float64 no longer counts in ones


@dataclass(frozen=True)
class Training:
    """Budget, recording, stopping and data order: the same for every trial of the grid."""

    epochs: Annotated[int | None, "passes over the training data", Ge(1), Le(MOST_STEPS)] = None
    steps: Annotated[int | None, "steps of training, instead of epochs", Ge(1), Le(MOST_STEPS)] = (
        None
    )
    record: Annotated[
        str,
        "when to record the loss: every epoch, every step, every N steps (a number), or after "
        "1, 2, 4, 8, ... steps (log)",
    ] = "epoch"
    tol: Annotated[float | None, "stop a trial when its gradient norm is at most this", Gt(0)] = (
        None
    )
    target_loss: Annotated[float | None, "stop a trial when its training loss is at most this"] = (
        None
    )
    diverge_at: Annotated[
        float,
        "a trial has diverged when its loss is more than this many times its starting loss (or "
        "times 1, if that is larger)",
        Gt(1),
    ] = 1e9
    order: Annotated[
        Literal["shuffle", "fixed", "replacement"],
        "order of the examples: shuffle draws a new one every epoch, fixed keeps one, "
        "replacement draws each example at random",
    ] = "shuffle"
    remainder: Annotated[
        Literal["keep", "drop"],
        "keep or drop the last batch of an epoch where it is smaller than the others",
    ] = "keep"
    for_: Annotated[
        str | None,
        LATER,
        "settings of some parameters, by their kinds or names: bias,norm weight-decay=0; "
        "head.* lr=0.1x; embedding optimizer=adamw",
    ] = None
    measure: Annotated[str | None, LATER, "what else to record at every point"] = None
    schedule_for: Annotated[
        str | None,
        LATER,
        "schedules of other settings, by which their values are multiplied: weight-decay=cosine, "
        "momentum.beta=linear(final=0.9), batch-size=step-up",
    ] = None
    data_seed: Annotated[
        int, "seed of generated data and of the split into training and test examples", Ge(0)
    ] = 0
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        "floating-point precision (default: float32 for networks, else float64)",
    ] = None

    @property
    def measures(self) -> tuple[type[Measure], ...]:
        """The measures that were asked for."""
        return () if self.measure is None else measures_named(self.measure, "--measure")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a curve that were asked for."""
        return tuple(column.name for measure in self.measures for column in measure.columns)

    @property
    def scheduled(self) -> tuple[Scheduled, ...]:
        """The settings besides the learning rate that a schedule changes."""
        return scheduled(self.schedule_for, "--schedule-for") if self.schedule_for else ()

    def check(self, where: str) -> None:
        """Raise UserError, naming `where`, for settings that exclude each other."""
        if self.epochs is not None and self.steps is not None:
            what = f"both epochs ({self.epochs}) and steps ({self.steps}) are given"
            raise UserError(where, what, "give one of them")

    def record_every(self, where: str) -> int | None:
        """Return N of `record` = "N" steps, None for its words; raises UserError for others."""
        if self.record in ("epoch", "step", "log"):
            return None
        if WHOLE.fullmatch(self.record) and int(self.record) > 0:
            return int(self.record)
        fix = "give epoch, step, log, or a number of steps"
        raise UserError(where, f"{show(self.record)} is no interval", fix)


def spelt(measures: str) -> str:
    """Return the names of measures with hyphens where built-in ones have them: "param-norm"."""
    return ",".join(map(_spelt, measures.split(",")))


def _spelt(name: str) -> str:
    hyphened = name.strip().replace("_", "-")
    return hyphened if hyphened in MEASURES.built_in() else name.strip()


@cache
def measures_named(names: str, where: str) -> tuple[type[Measure], ...]:
    """Return measures by their names, with commas between them; raises UserError, naming `where`.

    A file of the user's own is not among them: it would be run for a folder that names it.
    """
    found: dict[str, type[Measure]] = {}
    for name in names.split(","):
        if is_own(name):
            fix = f"give {', '.join(MEASURES.names())}, or a plugin's"
            raise UserError(where, f"{show(name)} is a file, not the name of a measure", fix)
        if name in found:
            raise UserError(where, f"{name} is named twice", "name every measure once")
        found[name] = MEASURES.find(name, where)
    return tuple(found.values())


BUDGETS = ("steps", "epochs")  # of the settings of training, those that a grid may vary
