"""The columns of curves.csv and summary.csv, each declared once: here, or in gdcli/measure.py.

The header, the writer, the reader, the types of pandas, Parquet and JSON, the tolerance of
`gdcli verify` and the tables of docs/results.md follow from what stands here.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gdcli.catalog.catalog import MEASURES, name_of, plugins
from gdcli.errors import UserError
from gdcli.measure import LOSSES, PLACES, RAW, SETTINGS, STRETCHES, Column
from gdcli.numbers import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial

TableName: TypeAlias = Literal["curves.csv", "summary.csv"]


@dataclass(frozen=True)
class HeaderColumn(Column):
    """A column as a header names it: a varied setting and a problem's metric have any name."""

    def __post_init__(self) -> None:
        """Take every name."""


# Of the built-in problems.
KNOWN_METRIC = re.compile(r"(train|test)_(\w+_)?accuracy|distance|at_\w+")
METRIC = "a metric of the problem, such as an accuracy"


@dataclass(frozen=True)
class End(HeaderColumn):
    """A column of summary.csv, and how it is taken from a trial."""

    # Of the measure `of`: at the first point, at the last, or the lowest. fact: of the points that
    # the engine watches. own: csv_write has a function for it.
    take: Literal["first", "last", "lowest", "fact", "own"] = "fact"
    of: str = ""


STATUS = (
    End("status", "text", "finished, diverged or failed", "equal", take="own"),
    End(
        "stopped_by",
        "text",
        "the goal that ended the trial before its budget: `target` for `--target-loss`, `tol` for"
        " `--tol`; empty where none did",
        take="own",
    ),
    End("steps", "whole", "steps taken", take="own"),
    End(
        "initial_train_loss", "number", "training loss at the start", take="first", of="train_loss"
    ),
    End("final_train_loss", "number", "training loss at the end", take="last", of="train_loss"),
    End(
        "best_train_loss",
        "number",
        "lowest recorded training loss",
        take="lowest",
        of="train_loss",
    ),
    End("final_grad_norm", "number", "gradient norm at the end", take="last", of="grad_norm"),
    End("final_test_loss", "number", "test loss at the end", take="last", of="test_loss"),
    End("best_test_loss", "number", "lowest recorded test loss", take="lowest", of="test_loss"),
)
TARGET = End(
    "steps_to_target",
    "whole",
    "first recorded step at or below `--target-loss`",
    take="own",
)
CURVATURE = (
    "smallest eigenvalue of the Hessian at the end, if the gradient has vanished and the loss is"
    " not known to be convex"
)
DEAD = (
    "share of ReLU units that are 0 for all training examples, if a network has stopped or"
    " learned nothing"
)
FACTS = (
    End(
        "watched",
        "whole",
        "number of watched points that the facts are made of; of a trial that diverged, those"
        " before",
    ),
    End("initial_grad_norm", "number", "gradient norm at the start"),
    End("largest_grad_norm", "number", "largest gradient norm"),
    End("lowest_train_loss", "number", "lowest watched training loss"),
    End("lowest_train_step", "whole", "first step with the lowest training loss"),
    End("highest_train_loss", "number", "highest watched training loss"),
    End("highest_train_step", "whole", "first step with the highest training loss"),
    End(
        "fallen_step",
        "whole",
        "first watched step at which nearly all of the fall to the lowest loss was done: what tells"
        " equal rates apart",
    ),
    End(
        "above_start_from",
        "whole",
        "first step of the last stretch in which the loss stays above its start; empty if it ends"
        " at its start or below",
    ),
    End(
        "largest_late_rise",
        "number",
        "largest rise from a low to a later high in the second half of the budget",
    ),
    End(
        "late_rises",
        "whole",
        "how many of the last 8 single steps raised the loss; full batches only",
    ),
    End(
        "late_swing", "number", "range of the loss over the last 8 single steps; full batches only"
    ),
    End(
        "gradient_turn",
        "number",
        "cosine of the angle between the last two gradients: -1 means that a step goes straight"
        " back; full batches only, and not with `--engine reference`",
    ),
    End("lowest_test_loss", "number", "lowest watched test loss"),
    End("lowest_test_step", "whole", "first step with the lowest test loss"),
    End("late_test_loss", "number", "mean test loss over the last sixteenth of the budget"),
    End("lowest_curvature", "number", CURVATURE),
    End("dead_units", "number", DEAD),
    *(
        End(f"level_{i}", "number", "mean training loss over each sixteenth of the budget")
        for i in range(1, STRETCHES + 1)
    ),
    End("diverged_after", "whole", "last step at which the loss is known to be in its bounds"),
    End("diverged_at", "whole", "step at which the loss was found out of its bounds"),
    End(
        "diverged_by",
        "text",
        "`growth`: the loss exceeded `--diverge-at`; `overflow` or `nan`: the loss or a parameter"
        " was not finite",
    ),
)
MESSAGE = End("message", "text", "what a trial that failed raised", take="own")
BEFORE = (Column("verdict", "text", "a word for the trial, in tables of format 2 and before"),)
KNOWN = {
    c.name: c for c in (*SETTINGS, *PLACES, *LOSSES, *STATUS, TARGET, *FACTS, MESSAGE, *BEFORE)
}
FIRST: dict[TableName, str] = {"curves.csv": "epoch", "summary.csv": "status"}


def header(names: Iterable[str]) -> str:
    """Return the first line of a file with such columns."""
    return ",".join(map(quoted, names)) + "\n"


@dataclass(frozen=True)
class RunTable:
    """The columns of one of a run's tables, in order: settings first, then what was measured."""

    file: TableName
    settings: tuple[Column, ...]
    measures: tuple[Column, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The header's cells."""
        return tuple(column.name for column in (*self.settings, *self.measures))

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns by names of which none is there twice.

        A varied setting may be named as a measure is: it is then "steps (varied)".
        """
        own, measured = self.names[: len(SETTINGS)], self.names[len(self.settings) :]
        varied = self.names[len(own) : len(self.settings)]
        varied = tuple(f"{n} (varied)" if n in (*own, *measured) else n for n in varied)
        pairs = zip((*own, *varied, *measured), (*self.settings, *self.measures), strict=True)
        return dict(pairs)

    def place(self, name: str) -> int:
        """Return where a measure's column is; raises KeyError where there is none."""
        return self._places[name]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {c.name: place for place, c in enumerate(self.measures, len(self.settings))}


@lru_cache(maxsize=64)
def curves_table(varied: tuple[str, ...], metrics: tuple[str, ...]) -> RunTable:
    """Return the columns of curves.csv, given what a run varies and what it measures besides."""
    measured = map(measure_column, metrics)
    return RunTable("curves.csv", _settings(varied), (*PLACES, *LOSSES, *measured))


@lru_cache(maxsize=64)
def summary_table(
    varied: tuple[str, ...], metrics: tuple[str, ...], asked: tuple[str, ...]
) -> RunTable:
    """Return the columns of summary.csv; `asked` are the measures that the user asked for."""
    finals = (_end(f"final_{name}") for name in metrics)
    initials = (_end(f"initial_{name}") for name in asked)
    ends = (*STATUS, *finals, *initials, TARGET, *FACTS, MESSAGE)
    return RunTable("summary.csv", _settings(varied), ends)


def measure_column(name: str) -> Column:
    """Return the column of a measure, as the measure declares it, or of a problem's metric."""
    if name == RAW.name:
        return RAW
    if name in (built_in := _declared(*MEASURES.built_in())):
        return built_in[name]
    metric = HeaderColumn(name, "number", METRIC)
    if KNOWN_METRIC.fullmatch(name):  # to look for plugins takes longer than to read a table
        return metric
    return _declared(*plugins(MEASURES.folder)).get(name, metric)


@cache
def _declared(*measures: str) -> dict[str, Column]:
    """Return the columns of measures by name; of a plugin that cannot be loaded, none."""
    found: dict[str, Column] = {}
    for name in measures:
        with suppress(UserError):
            found |= {column.name: column for column in MEASURES.find(name, "").columns}
    return found


def _end(name: str) -> End:
    """Return the column of summary.csv of a metric or measure, "final_..." or "initial_..."."""
    when, _, of = name.partition("_")
    column = measure_column(of)
    take: Literal["first", "last"] = "last" if when == "final" else "first"
    return End(name, column.kind, column.phrase, take=take, of=of)


def tables_of(experiment: Experiment) -> tuple[RunTable, RunTable]:
    """Return the columns of curves.csv and summary.csv of an experiment."""
    varied, metrics = experiment.varied, experiment.grid.metrics
    asked = experiment.grid.training.columns
    return curves_table(varied, metrics), summary_table(varied, metrics, asked)


def settings_of(trial: Trial) -> dict[str, Any]:
    """Return a trial's settings by the names of SETTINGS; of gd and sgd there is no batch size."""
    said = {
        "trial": trial.id,
        "optimizer": name_of(trial.optimizer),
        "schedule": name_of(trial.schedule),
    }
    names = (column.name for column in SETTINGS)
    return {name: said[name] if name in said else getattr(trial, name) for name in names}


def _settings(varied: Iterable[str]) -> tuple[Column, ...]:
    return (*SETTINGS, *map(_varied, (name.replace("-", "_") for name in varied)))


def _varied(name: str) -> Column:
    return HeaderColumn(name, "any", "a varied setting", "equal")


def last_place(names: Sequence[str], name: str) -> int:
    """Return where a measure is: a varied setting, to its left, may have the same name."""
    return len(names) - 1 - names[::-1].index(name)


def parsed(file: TableName, names: Sequence[str]) -> RunTable:
    """Return the columns of a header, of this format or an older one.

    Raises ValueError with what is wrong with it.
    """
    own = [column.name for column in SETTINGS]
    for name in (*own, FIRST[file]):
        if name not in names:
            raise ValueError(f"there is no column {name}")
    if list(names[: len(own)]) != own:
        raise ValueError(f"the columns do not begin with {', '.join(own)}")
    begin = last_place(names, FIRST[file])
    other = measure_column if file == "curves.csv" else _end
    measures = (KNOWN.get(name) or other(name) for name in names[begin:])
    varied = map(_varied, names[len(own) : begin])
    table = RunTable(file, (*SETTINGS, *varied), tuple(measures))
    if len(table.columns) < len(names):
        raise ValueError("two columns have one name")
    return table
