"""What a verdict is, where one ends and the next begins, which there are, and what they start from.

Verdicts are the classes in the files of the folder verdicts/, which import no more than this file
to be listed: `gdcli show --help` has the limits of all. They start from evidence: what a trial did,
how it descended, what its problem is known for; None there means: not known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, get_type_hints

from annotated_types import Gt, Lt

from gdcli.catalog.classes import classes_by, import_part
from gdcli.numbers import rounded

if TYPE_CHECKING:
    from gdcli.analysis.diagnosis.case import Case

SAME = 1e-9  # two learning rates this close, relatively, are the same
CLOSE = 0.01  # shares of right answers, or of a loss, this close are the same
SHARE_ROUNDING = 2e-7  # of a share of right answers in float32, less than one of a million examples
LINEAR = ("vanilla", "momentum", "nesterov")  # optimizers whose steps are sums of gradients
EQUAL_STEPS = ("sign-sgd", "lion")  # optimizers whose steps do not shrink with the gradient
# Rules and wrappers that hand out a mean of many steps, which lags behind the parameters.
AVERAGES = frozenset({"asgd", "average", "ema", "lawa", "swa"})
STRETCHES = 16  # equal parts of the budget, each with a mean loss


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
        float, "standard errors by which a fall of sgd or minibatch must exceed its noise", Gt(0)
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


LEVELS = tuple(f"level_{k}" for k in range(1, STRETCHES + 1))
BY_CODE = ("", "growth", "overflow", "nan")


@dataclass(frozen=True)
class Observed:
    """The facts of one trial, named as the columns of summary.csv."""

    status: str  # finished, diverged or failed
    stopped_by: str = ""  # "", tol or target
    steps: float | None = None
    watched: float | None = None
    initial_train_loss: float | None = None
    final_train_loss: float | None = None
    largest_grad_norm: float | None = None
    final_grad_norm: float | None = None
    lowest_train_loss: float | None = None
    highest_train_loss: float | None = None
    above_start_from: float | None = None
    largest_late_rise: float | None = None
    late_rises: float | None = None
    late_swing: float | None = None
    gradient_turn: float | None = None
    lowest_test_loss: float | None = None
    lowest_test_step: float | None = None
    late_test_loss: float | None = None
    lowest_curvature: float | None = None
    dead_units: float | None = None
    final_sharpness: float | None = None
    final_train_accuracy: float | None = None
    final_train_balanced_accuracy: float | None = None
    diverged_after: float | None = None
    diverged_at: float | None = None
    diverged_by: str = ""  # "", growth, overflow or nan
    levels: tuple[float | None, ...] = (None,) * STRETCHES

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Observed:
        """Return the facts of a row by column name; NaN means not known, but for the final loss."""
        kept = {
            name: value
            for name, value in zip(NAMES, map(row.get, NAMES), strict=True)
            if value is not None and (value == value or name == FINAL)  # noqa: PLR0124 -- NaN is not
        }
        if isinstance(code := kept.get("diverged_by", ""), (int, float)):
            kept["diverged_by"] = BY_CODE[int(code)]
        levels = tuple(y if y == y else None for y in map(row.get, LEVELS))  # noqa: PLR0124
        return cls(levels=levels, **kept)


FINAL = "final_train_loss"
NAMES = tuple(f.name for f in fields(Observed) if f.name != "levels")


@dataclass(frozen=True)
class DescentSettings:
    """How a trial descended."""

    lr: float
    method: str = "gd"  # or sgd, minibatch
    optimizer: str = "vanilla"
    beta: float | None = None  # of momentum and nesterov
    schedule: str = "constant"
    end_multiplier: float = 1.0  # the schedule's at the last step, over its largest
    weight_decay: float = 0.0
    clip_norm: float | None = None
    steps_per_epoch: int = 1
    horizon: int | None = None  # steps of the budget
    tol: float | None = None
    target_loss: float | None = None

    @property
    def stochastic(self) -> bool:
        """Whether a step sees only a part of the examples."""
        return self.method != "gd"

    @property
    def steady(self) -> bool:
        """Whether the learning rate stays the same."""
        return self.schedule == "constant"


@dataclass(frozen=True)
class Known:
    """What is known of the problem, and what theory knows of this descent on it."""

    minimum: float | None = None  # the least training loss, or its infimum
    attained: bool = True  # whether some point has it
    bound: float | None = None  # a loss that no point is below: 0 of a cross-entropy
    convex: bool | None = None
    network: bool = False
    classifier: bool = False
    baseline_loss: float | None = None  # of the best constant prediction, training part
    majority_train: float | None = None  # share of the most frequent class
    majority: str | None = None  # what that class is called
    majority_recall: float | None = None  # the balanced accuracy of always answering it
    limit: float | None = None  # learning rate above which this descent is not stable
    limit_exact: bool = False  # it diverges above it; else it may
    limit_formula: str = "2/L"
    rate: float | None = None  # factor by which a step shrinks the distance to the minimiser
    floor: float | None = None  # mean excess loss at which this descent settles
    condition: float | None = None  # largest curvature over the smallest above 0
    best_beta: float | None = None  # of this momentum, for this condition number
    scaled: bool | None = None  # whether features are standardised; None: there are none


@dataclass(frozen=True)
class Evidence:
    """All that a diagnosis is made of."""

    observed: Observed
    descent: DescentSettings
    known: Known = Known()
