"""What a verdict is, where one ends and the next begins, and which there are.

Verdicts are the classes in the files of the folder verdicts/, which import no more than this file
to be listed: `gdcli show --help` has the limits of all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple, get_type_hints

from annotated_types import Gt, Lt

from gdcli.catalog.classes import classes_by, import_part
from gdcli.numbers import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdcli.analysis.diagnosis.case import Case

SAME = 1e-9  # two learning rates this close, relatively, are the same
CLOSE = 0.01  # shares of right answers, or of a loss, this close are the same
SHARE_ROUNDING = 2e-7  # of a share of right answers in float32, less than one of a million examples
LINEAR = ("vanilla", "momentum", "nesterov")  # optimizers whose steps are sums of gradients
EQUAL_STEPS = ("sign-sgd", "lion")  # optimizers whose steps do not shrink with the gradient
# Optimizers whose steps follow from their gradients: the learning rate is that of the first one.
OWN_STEPS = ("adgd", "barzilai-borwein")
# Optimizers that lower the noise of batches themselves, as they step on.
CALMING = frozenset({"finito", "katyusha", "sag", "saga", "svrg"}) | frozenset(
    {"schedule-free-adamw", "schedule-free-radam", "schedule-free-sgd"}
)
BOUNDED = ("alig", "momo", "momo-adam", "polyak")  # optimizers that are given a least loss
# Rules and wrappers that hand out a mean of many steps, which lags behind the parameters.
AVERAGES = frozenset({"asgd", "average", "ema", "lawa", "swa"})


@dataclass(frozen=True)
class Limits:
    """The limits that verdicts share: ratios, so that no unit matters."""

    near: Annotated[
        float, "a gap to the least loss below this share of the fall so far counts as none", Gt(0)
    ] = 1e-3
    flat: Annotated[
        float,
        "a loss that would fall by less than this share of its fall so far in ten times as many "
        "steps counts as flat",
        Gt(0),
    ] = 1e-3
    swing: Annotated[
        float, "late swings larger than this share of the fall so far count as bouncing", Gt(0)
    ] = 1e-2
    sure: Annotated[
        float,
        "standard errors by which a fall of sgd or minibatch must exceed its noise to count as one",
        Gt(0),
    ] = 3.0
    steep: Annotated[
        float,
        "a gradient norm below this share of its largest counts as vanished",
        Gt(0),
        Lt(1),
    ] = 1e-3


@dataclass(frozen=True)
class Verdict(ABC):
    """One thing that may be said of a trial; its docstring says when it holds, in the docs too.

    The fields of a verdict are limits of its own, which become options of `gdcli show`.
    """

    word: ClassVar[str]  # what tables call it, and --fail-on with hyphens
    order: ClassVar[int]  # of those that hold, the one with the lowest order is said first
    smaller_rate: ClassVar[bool] = False  # it means that the learning rate is too large

    @classmethod
    def definition(cls) -> str:
        """Return when it holds, as a cell of a table."""
        return " ".join((cls.__doc__ or "").split())

    @abstractmethod
    def holds(self, case: Case) -> bool:
        """Return whether this is true of a trial; no other trial is asked about."""

    @abstractmethod
    def phrase(self, case: Case) -> str:
        """Return what a sentence says of the trial, such as "is flat"."""

    def advice(self, case: Case) -> str:
        """Return what to do about it, in sentences; "" where another verdict says more."""
        return ""


class TrialState(Verdict):
    """What a loss does at its end: a trial has the first state that holds."""

    sign: ClassVar[str] = "="  # in tables: it tells the states apart without colour
    color: ClassVar[str] = "default"  # one of Rich's
    lost: ClassVar[bool] = False  # the trial has no loss that is worth a comparison
    rests: ClassVar[bool] = False  # the loss no longer changes
    falls: ClassVar[bool] = False  # the loss falls: a forecast says how long
    swings: ClassVar[bool] = False  # the loss goes up and down: its advice comes before all other
    reached: ClassVar[bool] = False  # the trial ended where it was told to end


class TrialQuality(Verdict):
    """What a trial's end is worth: of the qualities that hold the first one leads."""

    alone: ClassVar[bool] = False  # where it leads, no other quality is in the sentence
    beside: ClassVar[bool] = False  # it is in the sentence even where another one leads
    says_it_rests: ClassVar[bool] = False  # the sentence does not say that the loss is flat, too
    good: ClassVar[bool] = False  # as good as a reached goal
    final: ClassVar[bool] = False  # other learning rates change little
    sooner: ClassVar[bool] = False  # its advice shortens what is forecast
    of_lost: ClassVar[bool] = False  # it can be said of a trial without a loss


class Verdicts(NamedTuple):
    """All verdicts with their limits set, each kind in its order."""

    states: tuple[TrialState, ...]
    qualities: tuple[TrialQuality, ...]


@cache
def found() -> Mapping[str, type[Verdict]]:
    """Return the classes of all verdicts by their words, in their order."""
    names = sorted(file.stem for file in Path(__file__).with_name("verdicts").glob("[!_]*.py"))
    modules = (import_part(f"{__package__}.verdicts.{name}") for name in names)
    kinds = classes_by(modules, Verdict, "word").values()
    classes = sorted(kinds, key=lambda kind: (kind.order, kind.word))
    return {kind.word: kind for kind in classes}


@cache
def states() -> dict[str, type[TrialState]]:
    """Return the classes of the states by their words, in their order."""
    return {word: kind for word, kind in found().items() if issubclass(kind, TrialState)}


@cache
def qualities() -> dict[str, type[TrialQuality]]:
    """Return the classes of the qualities by their words, in their order."""
    return {word: kind for word, kind in found().items() if issubclass(kind, TrialQuality)}


@cache
def limits_class() -> type[Limits]:
    """Return the limits that verdicts share and those of each, as one class of options."""
    shared = {one.name for one in fields(Limits)}
    own = {
        one.name: (one.name, get_type_hints(kind, include_extras=True)[one.name], one)
        for kind in found().values()
        for one in fields(kind)
        if one.name not in shared
    }
    extra = [(name, hint, field(default=one.default)) for name, hint, one in own.values()]
    return make_dataclass("Limits", extra, bases=(Limits,), frozen=True)


@cache
def verdicts(limits: Limits) -> Verdicts:
    """Return all verdicts with these limits; what `limits` lacks has its usual value."""
    made = [
        kind(**{f.name: getattr(limits, f.name, f.default) for f in fields(kind)})
        for kind in found().values()
    ]
    return Verdicts(
        tuple(one for one in made if isinstance(one, TrialState)),
        tuple(one for one in made if isinstance(one, TrialQuality)),
    )


def number(value: float | None) -> str:
    """Return a number for a sentence."""
    return "unknown" if value is None else rounded(float(value))


def limit_in_words(case: Case) -> str:
    """Return the stability limit of theory with its formula."""
    return f"the limit {case.known.limit_formula} = {number(case.known.limit)}"


def steps_in_words(case: Case, steps: float) -> str:
    """Return a number of steps, as epochs where an epoch has several."""
    per_epoch = case.descent.steps_per_epoch
    unit = "epoch" if case.descent.stochastic or per_epoch > 1 else "step"
    count = steps / per_epoch if unit == "epoch" else steps
    return f"{count:.4g} {unit}{'' if count == 1 else 's'}"
