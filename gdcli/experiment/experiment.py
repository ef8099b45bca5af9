"""An experiment: one problem, a grid and a budget, validated.

A command line and a TOML file say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.catalog.catalog import (
    OPTIMIZERS,
    PROBLEMS,
    SCHEDULES,
    WRAPPERS,
    Catalogue,
    grouped_rule,
    name_of,
    owned,
)
from gdcli.catalog.user_code import absolute, name_in, relative
from gdcli.errors import UserError, UserErrors
from gdcli.experiment.axis import expand, one, one_or_vary, text, texts
from gdcli.experiment.grid import Axes, Grid, Where, default_lr, digest
from gdcli.experiment.training import (
    BATCH_SIZE,
    BUDGETS,
    WEIGHT_DECAY,
    Training,
    measures_named,
    spelt,
    table_text,
)
from gdcli.experiment.training import schedules_spelt as scheduled_spelt
from gdcli.fields import Option, options_of, show, squashed, suggestion
from gdcli.measure import OF_EVERY_RUN
from gdcli.optimizer import OF_EVERY_RULE, Rule
from gdcli.parameter_groups import groups_of
from gdcli.words import axis_meant, option_meant, option_named, value_meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gdcli.catalog.user_code import Stranger


class Given(NamedTuple):
    """What the user said, unread: texts of a command line or values of a TOML file, by name.

    `where` is asked for an option of the grid by its name, for others by "problem dim" or
    "vary momentum.beta", and for the whole by "problem" or "grid".
    """

    problem: str
    options: Mapping[str, object]
    grid: Mapping[str, object]
    vary: Mapping[str, object]
    zip: tuple[str, ...]
    where: Where
    stranger: Stranger | None = None  # the folder that says it, where a command line does not


@dataclass(frozen=True)
class Experiment:
    """One problem, its grid and its budget."""

    problem: str  # how it is referred to, from any working directory
    grid: Grid

    @property
    def name(self) -> str:
        """The problem's name."""
        return name_in(self.problem)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the trials and of the columns that name what varies."""
        return digest([[trial.id for trial in self.grid.trials], self.varied])

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings with a column of their own in the results, by name."""
        own = [name for name in OF_EVERY_RULE if getattr(self.grid.axes, name)]
        return (*self.grid.vary, *own)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return what was given as TOML tables: [problem], [grid] and [grid.vary]."""
        return self._tables(self.problem, self.grid.axes)

    def local_tables(self) -> dict[str, dict[str, Any]]:
        """Return the same with the user's own files as they are typed in this directory."""
        return self._tables(relative(self.problem), _referring(relative, self.grid.axes))

    def _tables(self, problem: str, axes: Axes) -> dict[str, dict[str, Any]]:
        options = {name.replace("_", "-"): v for name, v in self.grid.options.items()}
        return {
            "problem": {"name": problem, **options},
            "grid": {
                **_changed(axes),
                **_changed(self.grid.training),
                **({"zip": [",".join(names) for names in self.grid.zip]} if self.grid.zip else {}),
            },
            "vary": dict(self.grid.vary),
        }

    def command(self) -> list[str]:
        """Return the arguments after `gdcli` that say the same."""
        tables = self.tables()
        name = tables["problem"].pop("name")
        zips = tables["grid"].pop("zip", [])
        arguments = [
            *_arguments({**tables["problem"], **tables["grid"]}),
            *(f"--vary={name}={texts(values)}" for name, values in tables["vary"].items()),
            *(f"--zip={names}" for names in zips),
        ]
        return ["run", name, *arguments]


def _arguments(values: Mapping[str, Any]) -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, bool):
            yield f"--{name}" if value else f"--no-{name}"
        else:
            yield f"--{name}={texts(value) if isinstance(value, tuple) else text(value)}"


def _referring(how: Callable[[str], str], axes: Axes) -> Axes:
    """Return axes whose optimizers and schedules are referred to in another way."""
    names = axes.optimizer, axes.schedule
    optimizer, schedule = (tuple(map(how, references)) for references in names)
    return replace(axes, optimizer=optimizer, schedule=schedule)


def _changed(part: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults, by name as typed."""
    values = {field.name: (getattr(part, field.name), field.default) for field in fields(part)}
    return {
        n.rstrip("_").replace("_", "-"): value
        for n, (value, default) in values.items()
        if value != default
    }


def read(given: Given) -> Experiment:
    """Return the experiment that was given; raises UserErrors naming every mistake in it."""
    reader = _Reader(given)
    return reader.experiment()


class _Reader:
    """Reads what was given, part by part, and keeps every mistake for one report."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.errors: list[UserError] = []

    def experiment(self) -> Experiment:
        given, reference = self.given, absolute(self.given.problem)
        self._try(_refuse_bytes, reference, given.where("problem"))
        self._admit("problem", reference)
        problem = self._try(PROBLEMS.find, reference, given.where("problem"))
        known = options_of(problem) if problem else {}
        settings = {**options_of(Axes), **options_of(Training)}
        options = self._values(given.options, known, "problem ") if problem else {}
        values = self._values(_with_text(given.grid), settings)
        axes = Axes(**{f.name: values[f.name] for f in fields(Axes) if f.name in values})
        axes = _referring(absolute, axes)
        rules = self._rules(axes)
        training = Training(
            **{f.name: values[f.name] for f in fields(Training) if f.name in values}
        )
        training = self._spelt(training, axes, rules)
        self._try(training.check, given.where("steps"))
        self._try(training.record_every, given.where("record"))
        vary = self._vary(known, rules, options) if problem else {}
        self._try(_check_budgets, training, vary, given.where("vary steps"))
        if problem and given.stranger is None:  # a folder's own file has what was decided
            varied = {name.replace("-", "_"): None for name in vary if name not in BUDGETS}
            options |= self._try(problem.decided, {**options, **varied}) or {}
        zips = [self._try(_zipped, z, vary, given.where("zip")) for z in given.zip]
        for word, names in (("optimizer", axes.optimizer), ("schedule", axes.schedule)):
            for name in names:
                self._try(_refuse_bytes, name, given.where(word))
        if self.errors or problem is None:
            raise UserErrors(self.errors)
        grid = Grid(problem, options, axes, vary, zips, training)
        experiment = Experiment(reference, _checked(grid, given.where))
        _check_measures(experiment, given.where("measure"))
        return experiment

    def _spelt(self, training: Training, axes: Axes, rules: dict[str, type[Any]]) -> Training:
        """Return the training with measures and schedules as they are stored.

        Rules that --for gives to some parameters take their place in `rules`, with their options.
        """
        given = self.given
        if training.for_ is not None:
            self._try(groups_of, training.for_, given.where("for"))
            for name in axes.optimizer if not self.errors else ():
                own = name_in(name)
                with_groups = self._try(
                    grouped_rule, name, rules[own], training.for_, given.where("for")
                )
                rules[own] = with_groups or rules[own]
        if training.measure is not None:
            training = replace(training, measure=spelt(training.measure))
            self._try(measures_named, training.measure, given.where("measure"))
        if training.schedule_for is not None:
            where = given.where("schedule-for")
            training = replace(
                training, schedule_for=self._try(scheduled_spelt, training.schedule_for, where)
            )
            budget = "steps" if training.steps or "steps" in given.vary else "epochs"
            self._try(_check_scheduled, training, axes, rules, where, budget)
        return training

    def _rules(self, axes: Axes) -> dict[str, type[Any]]:
        """Return the optimizers and schedules of the grid by name."""
        rules: dict[str, type[Any]] = {}
        catalogues: tuple[tuple[Catalogue[Any], tuple[str, ...]], ...]
        catalogues = (OPTIMIZERS, axes.optimizer), (SCHEDULES, axes.schedule)
        for catalogue, references in catalogues:
            for reference in references:
                where, name = self.given.where(catalogue.word), name_in(reference)
                self._admit(catalogue.word, reference)
                rule = self._try(catalogue.find, reference, where)
                if rule and catalogue is OPTIMIZERS:
                    self._try(default_lr, rule, where)
                if rule and name in rules:
                    what = f"{show(reference)} is called {name}, as another one of the grid is"
                    self.errors.append(UserError(where, what, "give one of them another name"))
                elif rule:
                    rules[name] = rule
        return rules

    def _admit(self, kind: str, reference: str) -> None:
        """Raise UserError for code that a folder names and that is not to be run."""
        if self.given.stranger is not None:
            self.given.stranger.admit(kind, reference)

    def _try(self, action: Callable[..., Any], *arguments: object) -> Any:
        try:
            return action(*arguments)
        except UserError as error:
            self.errors.append(error)
            return None

    def _values(
        self, given: Mapping[str, object], known: Mapping[str, Option], part: str = ""
    ) -> dict[str, Any]:
        """Return the values by field; an unknown name or a bad value is kept as a mistake."""
        values = {}
        for name, raw in given.items():
            where = self.given.where(f"{part}{name}")
            option = known.get(name.replace("_", "-"))
            if option is None or option.field in values:
                what = "is given twice" if option else "is not an option here"
                fix = "give it once" if option else _place(name, known)
                self.errors.append(UserError(where, f"{show(name)} {what}", fix))
                continue
            varies = part or option.name in BUDGETS
            reader = expand if option.axis else one_or_vary if varies else one
            value = self._try(_meant, reader, raw, option, where)
            if value is not None:
                values[option.field] = value
        return values

    def _vary(
        self,
        known: Mapping[str, Option],
        classes: Mapping[str, type[Any]],
        options: Mapping[str, Any],
    ) -> dict[str, tuple[Any, ...]]:
        rules = _owned(classes)
        budgets = {name: options_of(Training)[name] for name in BUDGETS if name not in known}
        vary = {}
        for key, raw in self.given.vary.items():
            name, where = key.replace("_", "-"), self.given.where(f"vary {key}")
            option = {**budgets, **known, **rules}.get(name)
            if option is None:
                self.errors.append(_no_axis(name, where, known, rules))
            elif name in vary or (option.field in options and "." not in name):
                self.errors.append(UserError(where, f"{name} is given twice", "give it once"))
            else:
                vary[name] = self._try(_expanded, raw, option, where) or ()
        return vary


def _with_text(grid: Mapping[str, object]) -> Mapping[str, object]:
    """Return the options of a grid, with the text of a table of schedules in its place."""
    return {
        name: table_text(value) if isinstance(value, dict) and _is_table(name) else value
        for name, value in grid.items()
    }


def _is_table(name: str) -> bool:
    return name.replace("_", "-") == "schedule-for"


def _check_scheduled(
    training: Training, axes: Axes, rules: Mapping[str, type[Any]], where: str, budget: str
) -> None:
    """Raise UserError unless every schedule is of a numeric option of the grid's optimizers."""
    optimizers = {name: rule for name, rule in rules.items() if issubclass(rule, Rule)}
    known = {
        setting
        for name, rule in optimizers.items()
        for setting, own in owned(name, rule).items()
        if own.field in rule.stacked_fields()
    }
    decays = axes.weight_decay or [rule.weight_decay for rule in optimizers.values()]
    for setting, _ in training.scheduled:
        if setting == WEIGHT_DECAY:
            if not any(decays):
                what = "there is no weight decay for a schedule to change"
                raise UserError(where, what, "add --weight-decay 0.01, say")
        elif setting == BATCH_SIZE:
            if "minibatch" not in axes.method:
                what = "there is no batch size for a schedule to change"
                raise UserError(where, what, "add --method minibatch")
            if budget != "steps":
                what = "a schedule of the batch size needs a budget in steps"
                raise UserError(where, what, "give --steps")
        elif setting == "lr":
            what = "the learning rate has a schedule of its own"
            raise UserError(where, what, "write --schedule cosine, say")
        elif setting not in known:
            what = f"{show(setting)} is not a numeric option of the grid's optimizers"
            names = ", ".join([WEIGHT_DECAY, BATCH_SIZE, *sorted(known)])
            raise UserError(where, what, suggestion(setting, known) or f"there is {names}")


def _check_budgets(training: Training, vary: Mapping[str, object], where: str) -> None:
    """Raise UserError for a grid that varies the budget and gives another one as well."""
    given = [name for name in BUDGETS if getattr(training, name) is not None]
    varied = [name for name in BUDGETS if name in vary]
    if varied and len(given) + len(varied) > 1:
        others = " and ".join([*(f"--{name}" for name in given), *varied[1:]])
        what = f"{varied[0]} varies, and {others} says the budget as well"
        raise UserError(where, what, "give one of them")


def _refuse_bytes(raw: object, where: str) -> None:
    """Raise UserError for a text that is not UTF-8: no file of a run could hold it."""
    try:
        str(raw).encode()
    except UnicodeEncodeError:
        raise UserError(where, f"{show(str(raw))} is not UTF-8", "rename it") from None


def _expanded(raw: object, option: Option, where: str) -> tuple[Any, ...]:
    _refuse_bytes(raw, where)
    return expand(raw, option, where)


def _meant(reader: Callable[..., Any], raw: object, option: Option, where: str) -> Any:
    """Return what a reader makes of a value; an error knows the words that people use for it."""
    _refuse_bytes(raw, where)
    try:
        return reader(raw, option, where)
    except UserError as error:
        words = raw.split(",") if isinstance(raw, str) and option.choices else []
        wrong = next((word for word in words if word not in option.choices), None)
        if wrong is None:
            raise
        rules = OPTIMIZERS.names() if option.name == "method" else []
        rule = next((name for name in rules if squashed(name) == squashed(wrong)), None)
        said = f"{rule} is an optimizer: write --optimizer {rule}" if rule else ""
        hint = said or value_meant(option.name, wrong, option.choices)
        raise UserError(where, error.what, hint or error.fix) from None


def _place(name: str, known: Mapping[str, Option]) -> str:
    """Return what to do with an option that is unknown where it is given."""
    if name.replace("_", "-") in {**options_of(Axes), **options_of(Training)}:
        return "write it under [grid]"
    typed = {n: n for n in {**known, **options_of(Axes), **options_of(Training)}}
    return option_meant(name, typed) or "see the --help of the problem"


def _owned(rules: Mapping[str, type[Any]]) -> dict[str, Option]:
    """Return the fields of optimizers and schedules as axes: "momentum.beta" -> its option."""
    return {
        key: own.option for name, rule in rules.items() for key, own in owned(name, rule).items()
    }


def _no_axis(
    name: str, where: str, known: Mapping[str, Option], rules: Mapping[str, Option]
) -> UserError:
    owner = name.partition(".")[0]
    if (axis := option_named(name)) in options_of(Axes):
        return UserError(where, f"{axis} is an axis already", f"write --{axis} with its values")
    for catalogue in (OPTIMIZERS, SCHEDULES):
        if (
            "." in name
            and owner in catalogue.names()
            and not any(r.startswith(owner + ".") for r in rules)
        ):
            what = f"the grid has no {catalogue.word} {owner}"
            return UserError(where, what, f"add {owner} to --{catalogue.word}")
    if (
        "." in name
        and owner in WRAPPERS.names()
        and not any(r.startswith(owner + ".") for r in rules)
    ):
        fix = f"write --optimizer adamw+{owner}, or another rule before it"
        return UserError(where, f"no optimizer of the grid has the wrapper {owner}", fix)
    if "+" in owner:
        what = f"{show(name)} is not a setting: each part of {owner} has its own"
        return UserError(where, what, _of_part(name, owner.split("+"), rules))
    rest = name.removeprefix(owner)
    others = [n + rest for c in (OPTIMIZERS, SCHEDULES, WRAPPERS) for n in c.names() if rest]
    hint = axis_meant(name, [*known, *rules]) or suggestion(name, others)
    hint = hint or "vary an option of the problem or of an optimizer"
    return UserError(where, f"there is no setting {show(name)} to vary", hint)


def _of_part(name: str, parts: list[str], rules: Mapping[str, Option]) -> str:
    """Return what to write for "adamw+ema.decay", a setting of one of the parts."""
    own = [rule for rule in rules if rule.partition(".")[0] in parts]
    meant = name.partition(".")[2]
    if meant in own:
        return f"write {meant}"
    fields = {rule.partition(".")[2]: rule for rule in reversed(own)}
    field = meant.rpartition(".")[2]
    if field in fields:
        return f"write {fields[field]}"
    there = f"there is {', '.join(own)}" if own else "vary one of an optimizer of the grid"
    return suggestion(field, fields, fields) or there


def _zipped(names: object, vary: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the axes of one --zip: "lr,momentum.beta"."""
    if not isinstance(names, str):
        raise UserError(where, f"{show(names)} is not text", 'write zip = "lr,momentum.beta"')
    axes = {name: name.replace("-", "_") for name in options_of(Axes)} | {
        name: name for name in vary
    }
    found = []
    for name in names.split(","):
        key = name.strip().replace("_", "-")
        if key not in axes:
            hint = suggestion(key, axes) or "name axes of the grid, such as lr,momentum.beta"
            raise UserError(where, f"{show(name)} is not an axis", hint)
        found.append(axes[key])
    if len(set(found)) != len(found) or len(found) < 2:
        raise UserError(
            where, f"{show(names)} does not name two or more axes", "give lr,batch-size"
        )
    return tuple(found)


def _checked(grid: Grid, where: Where) -> Grid:
    """Return the grid, after the checks that need all of it."""
    named = [name for names in grid.zip for name in names]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice:
        raise UserError(where("zip"), f"{twice} is zipped twice", "name every axis once")
    grid.check(where)
    try:
        _ = grid.cohorts[0].trials[0]  # a problem may refuse options that exclude each other
    except UserError as error:
        name = error.where.removeprefix("--")
        raise UserError(where(f"problem {name}"), error.what, error.fix) from None
    return grid


def _check_measures(experiment: Experiment, where: str) -> None:
    """Raise UserError for a measure with a column that something else of the results has."""
    grid = experiment.grid
    if not grid.training.measures:
        return
    taken = {name.replace("-", "_"): "a varied setting" for name in experiment.varied}
    taken |= {column.name: "every run" for column in OF_EVERY_RUN}
    taken |= dict.fromkeys(
        (name for cohort in grid.cohorts for name in cohort.trials[0].problem.curve_columns),
        "the problem",
    )
    for measure in grid.training.measures:
        name = name_of(measure())
        for column in measure.columns:
            if other := taken.get(column.name):
                what = f"{other} has a column {column.name} of its own"
                fix = f"leave {name} out, or rename its column"
                raise UserError(where, what, fix)
            if column.kind not in ("whole", "number"):
                what = f"the column {column.name} of {name} is of kind {column.kind}"
                raise UserError(where, what, 'its kind must be "number" or "whole"')
            taken[column.name] = name
