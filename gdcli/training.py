"""How every trial of an experiment is trained, recorded and ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.numerals import WHOLE

MOST_STEPS = 2**53 - 1  # beyond it a float64 no longer counts in ones


@dataclass(frozen=True)
class Training:
    """Budget, recording, stopping and data order: the same for every trial of the grid."""

    epochs: Annotated[int | None, "passes over the data", Ge(1), Le(MOST_STEPS)] = None
    steps: Annotated[int | None, "steps, instead of epochs", Ge(1), Le(MOST_STEPS)] = None
    record: Annotated[str, "when to record: epoch, step, every N steps, or log"] = "epoch"
    tol: Annotated[float | None, "gradient norm at which a trial ends: its goal", Gt(0)] = None
    target_loss: Annotated[float | None, "training loss at which a trial ends: its goal"] = None
    diverge_at: Annotated[float, "times the loss at the start at which a trial diverged", Gt(1)] = (
        1e9
    )
    order: Annotated[
        Literal["shuffle", "fixed", "replacement"],
        "examples reshuffled each epoch, in one order, or drawn with replacement",
    ] = "shuffle"
    remainder: Annotated[Literal["keep", "drop"], "the last, smaller batch of an epoch"] = "keep"
    measure: Annotated[
        Literal["sharpness"] | None,
        LATER,
        "what else to record: sharpness, the largest eigenvalue of the loss's Hessian",
    ] = None
    data_seed: Annotated[int, "seed of drawn data and of the train/test split", Ge(0)] = 0
    dtype: Annotated[
        Literal["float32", "float64"] | None, "precision; float32 for networks, else float64"
    ] = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a curve that were asked for."""
        return (self.measure,) if self.measure else ()

    def check(self, where: str) -> None:
        """Raise UserError, naming `where`, for settings that do not go together."""
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
