"""Experiments as hypothesis draws them: any options, axes and budget that go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import reject
from hypothesis import strategies as st

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES, Catalogue
from gdcli.datasets.reading import Reading
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.experiment.grid import Axes
from gdcli.fields import Option, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

rates = st.floats(1e-12, 1e12, allow_subnormal=False)
shares = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
# No path and no argument of a command has a NUL.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.text(characters, min_size=1, max_size=8)


def axis(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Draw an axis: different values."""
    return st.lists(values, min_size=1, max_size=3, unique=True)


Drawn = dict[str, st.SearchStrategy[Any]]
OPTIONS: dict[str, Drawn] = {
    "quadratic": {"dim": st.integers(1, 9), "noise": rates, "rotate": st.booleans()},
    "saddle": {"start": st.lists(rates | rates.map(lambda x: -x), min_size=2, max_size=2)},
    "linear-regression": {"scale": st.just("minmax")},
}
REQUIRED: dict[str, Drawn] = {"linear-regression": {"data": words, "target": words}}
GRID: Drawn = {
    "method": axis(st.sampled_from(["gd", "sgd", "minibatch"])),
    "batch-size": axis(st.integers(1, 2**40)),
    "schedule": axis(st.sampled_from(["constant", "cosine", "step"])),
    "weight-decay": axis(st.just(0.0) | rates),
    "clip-norm": axis(rates),
    "lr": axis(rates),
    "seed": axis(st.integers(0, 2**70)),
    "record": st.sampled_from(["epoch", "step", "log", "7"]),
    "tol": rates,
    "target-loss": rates | rates.map(lambda x: -x),
    "order": st.sampled_from(["shuffle", "fixed", "replacement"]),
    "remainder": st.sampled_from(["keep", "drop"]),
    "measure": st.just("sharpness"),
    "data-seed": st.integers(0, 2**70),
    "dtype": st.sampled_from(["float32", "float64"]),
}

READ = options_of(Reading)
READING: Drawn = {  # what goes together, and with a file alone
    "separator": st.sampled_from([";", ",", "tab", "blanks", "|", "#", "'", "\x1b"]),
    "header": st.booleans(),
    "decimal": st.sampled_from([".", ","]),
    "thousands": st.sampled_from(["'", "blank"]),
    "encoding": st.sampled_from(["utf-16", "cp1252"]),
    "comment": st.sampled_from(["#", "%", "//", '"', "',"]),
    "skip-rows": st.integers(0, 9),
    "drop": st.sampled_from(["a", "a,b", '"a,b",c', "price (EUR, net)", "[bold]"]),
    "missing": st.just("drop"),
}


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Draw an experiment."""
    problem = draw(st.sampled_from(sorted(OPTIONS)))
    options = draw(st.fixed_dictionaries(REQUIRED.get(problem, {}), optional=OPTIONS[problem]))
    budget = draw(st.sampled_from(["epochs", "steps"]))
    grid = draw(st.fixed_dictionaries({}, optional={**GRID, budget: st.integers(1, 2**53 - 1)}))
    vary: dict[str, Any] = {}
    if draw(st.booleans()):
        grid["optimizer"] = ["momentum", "vanilla"]
        vary["momentum.beta"] = draw(axis(shares))
    if problem == "quadratic" and draw(st.booleans()):
        vary["condition"] = draw(axis(st.floats(1, 1e6)))
    return read(Given(problem, options, grid, vary, draw(zips(grid, vary)), str))


@st.composite
def zips(draw: st.DrawFn, grid: Mapping[str, Any], vary: Mapping[str, Any]) -> tuple[str, ...]:
    """Draw some of the axes of one length, in any order, to go in step; up to two such groups."""
    axes = {name: len(v) for name, v in {**grid, **vary}.items() if name in AXES or name in vary}
    groups = [[n for n in sorted(axes) if axes[n] == length] for length in {*axes.values()}]
    drawn = []
    for group in (group for group in groups if len(group) > 1):
        names = st.lists(st.sampled_from(group), min_size=2, unique=True)
        drawn += [",".join(draw(names))] if draw(st.booleans()) else []
    return tuple(drawn[:2])


@st.composite
def experiments_with(draw: st.DrawFn, problem: str) -> Experiment:
    """Draw an experiment on a problem, with any of its options and any optimizer and schedule."""
    own = options_of(PROBLEMS.find(problem, ""))
    own = {name: option for name, option in own.items() if name not in READ}
    options = draw(st.fixed_dictionaries({}, optional={n: values(o) for n, o in own.items()}))
    if "data" in options and issubclass(PROBLEMS.find(problem, ""), Reading):
        options |= draw(st.fixed_dictionaries({}, optional=READING))
    rules: tuple[Catalogue[Any], ...] = (OPTIMIZERS, SCHEDULES)
    grid = draw(st.fixed_dictionaries({}, optional=GRID))
    budget = draw(st.sampled_from(["", "epochs", "steps"]))
    grid |= {budget: draw(st.integers(1, 2**53 - 1))} if budget else {}
    vary: dict[str, Any] = {}
    for catalogue in rules:
        names = grid[catalogue.word] = draw(axis(st.sampled_from(catalogue.names())))
        fields = options_of(catalogue.find(names[0], ""))
        single = [name for name, o in fields.items() if name not in GRID and not o.many]
        chosen = draw(st.sampled_from(["", *single]))
        if chosen:
            vary[f"{names[0]}.{chosen}"] = draw(axis(values(fields[chosen])))
    free = ["", *(name for name in own if name not in options)]
    if varied := draw(st.sampled_from(free)):
        vary[varied] = draw(axis(values(own[varied]).map(frozen)))
    try:
        return read(Given(problem, options, grid, vary, draw(zips(grid, vary)), str))
    except UserError:  # options that do not go together
        reject()


def frozen(value: Any) -> Any:
    """Return a value that can be told from others: a list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def values(option: Option) -> st.SearchStrategy[Any]:
    """Draw what an option takes."""
    if option.many:
        return st.lists(one(option), min_size=option.size or 1, max_size=option.size or 3)
    return one(option)


def one(option: Option) -> st.SearchStrategy[Any]:
    """Draw one value within the limits of an option."""
    if option.choices:
        return st.sampled_from(option.choices)
    bounds = {type(limit).__name__.lower(): limit for limit in option.limits}
    low = next((getattr(bounds[n], n) for n in ("ge", "gt") if n in bounds), None)
    high = next((getattr(bounds[n], n) for n in ("le", "lt") if n in bounds), None)
    if option.kind is int:
        return st.integers(low, high)
    if option.kind is float:
        return st.floats(
            low,
            high,
            allow_nan=False,
            allow_infinity=False,
            exclude_min="gt" in bounds,
            exclude_max="lt" in bounds,
        )
    return st.booleans() if option.kind is bool else words


AXES = {option.name for option in options_of(Axes).values()}


def given(problem: str = "quadratic", **parts: Any) -> Given:
    """Return what a user said, named as on a command line."""
    empty: dict[str, Any] = {"options": {}, "grid": {}, "vary": {}, "zip": ()}
    return Given(problem=problem, where=lambda name: f"--{name}", **{**empty, **parts})


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    file = folder / "experiment.toml"
    file.write_text(text, encoding="utf-8")
    return file
