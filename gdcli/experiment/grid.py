"""Which trials an experiment consists of, how each is trained, and which share one program."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from annotated_types import Ge, Gt

from gdcli.catalog.catalog import OPTIMIZERS, SCHEDULES, grouped_rule, name_of, owned
from gdcli.catalog.user_code import name_in
from gdcli.errors import UserError
from gdcli.experiment.axis import text
from gdcli.experiment.training import BUDGETS, Training
from gdcli.fields import AXIS, settings_of, show
from gdcli.measure import RAW
from gdcli.optimizer import CLIP_NORM, OF_EVERY_RULE, WEIGHT_DECAY, Rule
from gdcli.problem import Problem
from gdcli.schedule import Schedule

MOST_TRIALS = 1_000_000
MOST_PROBLEMS = 10_000  # each has examples, a program and an estimate of its own
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
Point: TypeAlias = tuple[tuple[tuple[str, Any], ...], ...]
Where: TypeAlias = Callable[[str], str]  # a name -> how an error names it: "--lr", "a.toml:3: lr"


@dataclass(frozen=True)
class Axes:
    """The axes that every experiment has; more come from its `vary`."""

    method: Annotated[
        tuple[Literal["gd", "sgd", "minibatch"], ...],
        AXIS,
        "examples that each step uses: gd, all of them (full-batch gradient descent); sgd, one; "
        "minibatch, --batch-size of them",
    ] = ("gd",)
    batch_size: Annotated[tuple[int, ...], AXIS, "examples in each step of minibatch", Ge(1)] = (
        32,
    )
    optimizer: Annotated[
        tuple[str, ...],
        AXIS,
        "update rules: vanilla is plain gradient descent, gdcli optimizers lists the others; or "
        "a file of your own",
    ] = ("vanilla",)
    schedule: Annotated[
        tuple[str, ...],
        AXIS,
        "how the learning rate changes during training: gdcli schedules lists them; or a file "
        "of your own",
    ] = ("constant",)
    weight_decay: Annotated[tuple[float, ...] | None, AXIS, WEIGHT_DECAY, Ge(0)] = None
    clip_norm: Annotated[tuple[float, ...] | None, AXIS, CLIP_NORM, Gt(0)] = None
    lr: Annotated[
        tuple[float, ...] | None,
        AXIS,
        "learning rates, such as 0.1,0.01 or the range log:1e-4:1:5",
        Gt(0),
    ] = None
    seed: Annotated[
        tuple[int, ...],
        AXIS,
        "seeds of the starting point and of the order of the examples; 0:4 means 0,1,2,3,4",
        Ge(0),
    ] = (0,)


@dataclass(frozen=True)
class Trial:
    """One point of the grid: everything that one trajectory depends on."""

    problem: Problem
    method: str
    batch_size: int | None  # of minibatch only
    optimizer: Rule
    schedule: Schedule
    lr: float
    seed: int
    training: Training

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The columns of the curve besides the losses and the gradient norm."""
        raw = (RAW.name,) if getattr(self.optimizer, "records_another_point", False) else ()
        return (*self.problem.curve_columns, *raw, *self.training.columns)

    @cached_property
    def id(self) -> str:
        """The first 12 hex digits of the hash of the settings: the same in every grid.

        48 bits: among 100,000 trials two share an id once in 50,000 grids.
        """
        settings = {name: getattr(self, name) for name in ("method", "batch_size", "lr", "seed")}
        # Put together from the parts' own texts, which many trials share: else a grid of 100,000
        # takes seconds to name.
        parts = [f'"{n}":{_said(getattr(self, n))}' for n in ("optimizer", "problem", "schedule")]
        fields = _said(self.training, named=False)
        return _sha256(f"[1,{CANONICAL.encode(settings)},{{{','.join(parts)}}},{fields}]")[:12]


class Cohort(NamedTuple):
    """Trials that share one stacked program: one problem, method, batch size and kind of rule.

    They share their budget, too.
    """

    trials: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """What the trials have in common, for a progress bar."""
        trial = self.trials[0]
        size = f" {trial.batch_size}" if trial.batch_size else ""
        return f"{trial.method}{size} {name_of(trial.optimizer)}"


def _said(part: Any, *, named: bool = True) -> str:
    """Return a part's name and fields as canonical JSON, which the part keeps."""
    held = vars(part)
    if "_said" not in held:
        fields = settings_of(part)
        held["_said"] = CANONICAL.encode([name_of(part), fields] if named else fields)
    text: str = held["_said"]
    return text


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return _sha256(CANONICAL.encode(value))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def cohorts_of(trials: Iterable[Trial]) -> tuple[Cohort, ...]:
    """Group trials by the program they share, in the order of the first of each.

    What decides how a step is computed is the same for all of a cohort, so that no trial's bits
    depend on what else is in the grid.
    """
    groups: dict[object, list[Trial]] = {}
    kinds: dict[int, object] = {}  # by identity: many trials share a rule
    for trial in trials:
        rule = trial.optimizer
        kind = kinds.get(id(rule)) or kinds.setdefault(id(rule), _kind(rule))
        budget = trial.training.steps, trial.training.epochs
        key = (trial.problem, trial.method, trial.batch_size, kind, type(trial.schedule), budget)
        groups.setdefault(key, []).append(trial)
    return tuple(Cohort(tuple(group)) for group in groups.values())


def _kind(rule: Rule) -> tuple[object, ...]:
    """Return what the rules of trials that share a program have in common."""
    varying = (*rule.stacked_fields(), "clip_norm")
    fixed = tuple(getattr(rule, f.name) for f in fields(rule) if f.name not in varying)
    return type(rule), fixed, rule.weight_decay > 0, rule.clip_norm is not None


@dataclass(frozen=True)
class Grid:
    """The product of the axes, zipped ones in step, without what would be the same trial twice."""

    problem: type[Problem]
    options: Mapping[str, Any]  # the problem's fixed options, by field
    axes: Axes
    vary: Mapping[str, tuple[Any, ...]]  # by name: "condition", "momentum.beta"
    zip: Sequence[Sequence[str]]
    training: Training

    @cached_property
    def cohorts(self) -> tuple[Cohort, ...]:
        """The trials, grouped by the program they share."""
        points = (dict(itertools.chain.from_iterable(point)) for point in self._points())
        return cohorts_of(dict.fromkeys(self._trial(point) for point in points))

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial once, in the order in which results are written: cohort by cohort."""
        return tuple(trial for cohort in self.cohorts for trial in cohort.trials)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """What the problems of the grid measure besides losses: the columns of all of them."""
        firsts = (cohort.trials[0] for cohort in self.cohorts)
        return tuple(dict.fromkeys(name for trial in firsts for name in trial.curve_columns))

    def values(self) -> dict[str, tuple[Any, ...]]:
        """Return every axis by name, what splits cohorts first, so that they stay together."""
        axes = {field.name: getattr(self.axes, field.name) for field in fields(self.axes)}
        axes["lr"] = axes["lr"] or (None,)  # each optimizer's own
        outer = {name: values for name, values in self.vary.items() if self._of_problem(name)}
        budgets = {name: self.vary[name] for name in BUDGETS if name in self.vary}
        inner = {name: values for name, values in self.vary.items() if "." in name}
        return {
            **outer,
            **{name: axes.pop(name) for name in ("method", "batch_size", "optimizer", "schedule")},
            **inner,
            **{name: values for name, values in axes.items() if values},
            **budgets,
        }

    def check(self, where: Where) -> None:
        """Raise UserError for zipped axes of different length or a vast grid."""
        axes = self.values()
        given = axes if self.axes.lr else {**axes, "lr": ()}
        for names in self.zip:
            lengths = {name: len(given.get(name, ())) for name in names}
            missing = next((name for name, length in lengths.items() if not length), None)
            if missing:
                raise UserError(where("zip"), f"{missing} has no values", "give it some")
            if len(set(lengths.values())) > 1:
                found = ", ".join(f"{name} has {n}" for name, n in lengths.items())
                raise UserError(
                    where("zip"), f"the axes differ in length: {found}", "give as many each"
                )
        together = {names: len(axes[names[0]]) for names in self._groups()}
        own = {names: n for names, n in together.items() if any(map(self._of_problem, names))}
        for counts, most, what in (
            (together, MOST_TRIALS, "trials"),
            (own, MOST_PROBLEMS, "problems that differ"),
        ):
            if (count := math.prod(counts.values())) > most:
                product = " x ".join(f"{'+'.join(n)} {c}" for n, c in counts.items() if c > 1)
                fix = f"take at most {most}"
                raise UserError(where("grid"), f"it has {count} {what}: {product}", fix)

    def _of_problem(self, name: str) -> bool:
        """Return whether an axis is an option of the problem."""
        return name in self.vary and "." not in name and name not in BUDGETS

    def _points(self) -> Iterable[Point]:
        """Return the product of the axes, each point as groups of (name, value) pairs."""
        return itertools.product(*self._zipped())

    def _zipped(self) -> list[list[tuple[tuple[str, Any], ...]]]:
        """Return the axes as lists of (name, value) pairs; zipped axes are one list."""
        axes = self.values()
        pairs = {name: [(name, value) for value in values] for name, values in axes.items()}
        return [list(zip(*(pairs[n] for n in names), strict=True)) for names in self._groups()]

    def _groups(self) -> list[tuple[str, ...]]:
        """Return the names of the axes; zipped ones are together."""
        groups: dict[str, tuple[str, ...]] = {name: (name,) for name in self.values()}
        for first, *others in self.zip:
            groups[first] = (first, *others)
            for name in others:
                del groups[name]
        return list(groups.values())

    @cached_property
    def rules(self) -> dict[tuple[str, str], type[Any]]:
        """The optimizers and schedules of the grid, looked up once, not for every trial."""
        rules: dict[tuple[str, str], type[Any]] = {
            (catalogue.word, name): catalogue.find(name, f"--{catalogue.word}")
            for catalogue, names in (
                (OPTIMIZERS, self.axes.optimizer),
                (SCHEDULES, self.axes.schedule),
            )
            for name in names
        }
        groups = self.training.for_
        if groups is None:
            return rules
        return {
            (word, name): grouped_rule(name, rule, groups, "--for") if word == "optimizer" else rule
            for (word, name), rule in rules.items()
        }

    @cached_property
    def _resolved(self) -> dict[tuple[int | None, ...], Training]:
        """The settings of training by what the grid varies of them, each made once."""
        return {}

    def _training(self, point: dict[str, Any]) -> Training:
        """Return budget and precision as the problem's defaults fill them in: an id names them."""
        key = tuple(point.get(name) for name in BUDGETS)
        if key not in self._resolved:
            own = {name: point[name] for name in BUDGETS if name in point}
            self._resolved[key] = self._filled(replace(self.training, **own))
        return self._resolved[key]

    def _filled(self, training: Training) -> Training:
        problem = self.problem
        epochs = training.epochs or (None if training.steps else problem.default_epochs)
        return replace(training, epochs=epochs, dtype=training.dtype or problem.default_dtype)

    def _trial(self, point: dict[str, Any]) -> Trial:
        method = point["method"]
        return Trial(
            problem=self._part(self.problem, self._names["", ""], point, self.options),
            method=method,
            batch_size=point["batch_size"] if method == "minibatch" else None,
            optimizer=self._rule("optimizer", point),
            schedule=self._rule("schedule", point),
            lr=point["lr"] or self._own_rate(point["optimizer"]),
            seed=point["seed"],
            training=self._training(point),
        )

    def _own_rate(self, reference: str) -> float:
        """Return an optimizer's learning rate where none is given: its own or the problem's."""
        own = default_lr(self.rules["optimizer", reference], "--optimizer")
        return self.problem.default_lr if own is None else own

    def _rule(self, axis: str, point: Mapping[str, Any]) -> Any:
        reference = point[axis]
        with_for = axis == "optimizer" and self.training.for_ is not None
        rest = {"groups": self.training.for_} if with_for else {}
        return self._part(self.rules[axis, reference], self._names[axis, reference], point, rest)

    def _part(
        self,
        kind: type,
        names: Mapping[str, str],
        point: Mapping[str, Any],
        rest: Mapping[str, Any],
    ) -> Any:
        """Return the one instance of a class that has these values at a point of the grid."""
        # An axis holds no value twice, so that equal ones are the same.
        key = (kind, *(point[name] for name in names))
        if key not in self._parts:
            own = {field: point[name] for name, field in names.items()}
            self._parts[key] = kind(**{**rest, **own})
        return self._parts[key]

    @cached_property
    def _parts(self) -> dict[object, Any]:
        """The problems, optimizers and schedules of the trials, each made once."""
        return {}

    @cached_property
    def _names(self) -> dict[tuple[str, str], dict[str, str]]:
        """The varied fields of the problem, ("", ""), and of each rule by its axis and reference.

        By the name of what varies: {"momentum.beta": "beta"}.
        """
        shared = [name for name in OF_EVERY_RULE if getattr(self.axes, name)]
        of_problem = {n: n.replace("-", "_") for n in self.vary if self._of_problem(n)}
        names = {("", ""): of_problem}
        for (axis, reference), rule in self.rules.items():
            fields = owned(name_in(reference), rule)
            own = {name: fields[name].field for name in self.vary if name in fields}
            every = dict(zip(shared, shared, strict=True)) if axis == "optimizer" else {}
            names[axis, reference] = {**every, **own}
        return names


def default_lr(rule: type[Rule], where: str) -> float | None:
    """Return a rule's own learning rate, None for the problem's; raises UserError, naming `where`.

    A file of the user's own may say anything.
    """
    own: object = rule.default_lr
    if own is None:
        return None
    if isinstance(own, bool) or not isinstance(own, int | float) or not 0 < own < math.inf:
        what = f"the default_lr of {rule.__name__} is {show(own)}"
        raise UserError(where, what, "make it a number above 0, or None for the problem's")
    return float(own)


def setting(trial: Trial, name: str) -> Any:
    """Return a varied setting of a trial by its name, None where it does not apply to it."""
    owner, dot, field = name.rpartition(".")
    if name in BUDGETS:
        return getattr(trial.training, name)
    if not dot:
        field = field.replace("-", "_")
        return getattr(trial.optimizer if field in OF_EVERY_RULE else trial.problem, field)
    for part in (trial.optimizer, trial.schedule):
        if own := owned(name_of(part), type(part)).get(f"{owner}.{field.replace('_', '-')}"):
            return getattr(part, own.field)
    return None


def described(trial: Trial, varied: Sequence[str]) -> str:
    """Return the settings that tell a trial from the others of its problem, in words."""
    size = f" {trial.batch_size}" if trial.batch_size else ""
    own = [(name, setting(trial, name)) for name in varied]
    return ", ".join(
        [
            f"{trial.method}{size} {name_of(trial.optimizer)}",
            f"lr {trial.lr!r}",
            *(f"{name} {text(value)}" for name, value in own if value is not None),
            f"seed {trial.seed}",
        ]
    )
