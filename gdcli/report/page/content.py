"""What a page holds: HTML from templates (Jinja2), and JSON of a run's trials for its script.

Every value is escaped by Jinja and its control characters are spelt out; only markup that gdcli
itself has made is printed as it is. The page's policy allows no script but its own. Templates and
scripts are named by their path in the package.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from markupsafe import Markup

from gdcli import __version__
from gdcli.analysis.theory import Expectation, expectation
from gdcli.numbers import distinct_labels
from gdcli.report.charts.charts import NAMES, MetricOfRun, label_of, metrics_of
from gdcli.report.console import literal
from gdcli.report.text_tables import texts_of
from gdcli.runs.csv_read import CsvFile, table_of
from gdcli.runs.table import FACTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jinja2 import Environment, Template

    from gdcli.analysis.best import Setting
    from gdcli.analysis.theory import RunConstants
    from gdcli.report.charts.chart import Chart
    from gdcli.runs.trials import Curve

PACKAGE = Path(__file__).parents[2]
# What charts are drawn with; every page has these scripts first, and each may use those before it.
DRAWING = tuple(f"report/page/{name}.js" for name in ("chart", "scale", "marks", "plot", "pointer"))


def document(template: str, script: str, fields: Mapping[str, object]) -> bytes:
    """Return a page that needs no other file.

    `template` extends report/page/document.html, and `fields` are what it prints: among them are
    the page's "name" and its "data", as `embedded` returns them.
    """
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own: dict[str, object] = {
        "version": __version__,
        "style": own_markup(asset("report/page/style.css")),
        "hash": own_markup(f"'sha256-{digest}'"),
        "script": own_markup(script),
    }
    return _environment().get_template(template).render({**fields, **own}).encode()


def rendered(template: str, fields: Mapping[str, object]) -> Markup:
    """Return a piece of a page from the text of its template."""
    return own_markup(_compiled(template).render(fields))


@cache  # many views share one
def _compiled(template: str) -> Template:
    return _environment().from_string(template)


def scripts_of(*paths: str) -> str:
    """Return scripts of the package, one after another."""
    return "".join(map(asset, paths))


def asset(path: str) -> str:
    """Return the text of a file of the package."""
    return (PACKAGE / path).read_text(encoding="utf-8")


def own_markup(text: str) -> Markup:
    """Return markup of gdcli's own, in which every value is escaped already."""
    return Markup(text)  # noqa: S704 -- the only place where a text becomes markup


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_literal,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"texts_of": texts_of, "newline": own_markup("\n")}
    return environment


def _literal(value: object) -> object:
    """Return a value as it is read: the control characters of a text are spelt out."""
    return value if isinstance(value, Markup) else literal(str(value))


DIGITS = 4  # of a value of a curve
LARGEST = 9999  # the digits as a whole number
POWERS = 640  # of 10, from 10 ** -LEAST_POWER on: all that floats have
LEAST_POWER = 327


def plain(value: float, digits: int = DIGITS) -> float | str:
    """Return a number short enough for a chart; inf and nan, which JSON has not, as text."""
    if not isfinite(value):
        return str(value)
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 10**digits else short


def plain_or_none(value: float, digits: int = DIGITS) -> float | str | None:
    """Return the same, None where the number is not finite."""
    return plain(value, digits) if isfinite(value) else None


def packed(values: Sequence[float]) -> str:
    """Return numbers in four digits, each as 3 bytes: a third less than their text; in base 64.

    The bytes are a whole number: 0 for nan, 1 for inf, 2 for -inf; from 3 on the digits, from
    -LARGEST on, times POWERS, plus the power of 10.
    """
    import numpy as np

    given = np.asarray(values, float)
    size = np.abs(given)
    sure = (size > 1e-280) & (size < 1e280)
    size[~sure] = 1.0
    power = np.floor(np.log10(size)).astype(int) - (DIGITS - 1)
    exact = size / 10.0**power
    digits = np.rint(exact)
    # The nearest digits are these, but where rounding errors could have turned them.
    sure &= (np.abs(exact - np.floor(exact) - 0.5) > 1e-6) & (digits > 1000) & (digits < LARGEST)
    codes = _coded(np.copysign(digits, given).astype(int), power)
    for place in np.flatnonzero(~sure).tolist():
        codes[place] = _code(float(given[place]))
    bytes_ = codes.astype(">u4").view("u1").reshape(-1, 4)[:, 1:]
    return b64encode(bytes_.tobytes()).decode()


def _code(value: float) -> int:
    if not isfinite(value):
        return 1 if value == inf else 2 if value == -inf else 0
    digits, power = f"{value:.{DIGITS - 1}e}".split("e")
    code: int = _coded(int(digits.replace(".", "")), int(power) - (DIGITS - 1))
    return code


def _coded(digits: Any, power: Any) -> Any:
    return 3 + (digits + LARGEST) * POWERS + power + LEAST_POWER


MOST_VALUES = 500_000  # of all curves together: two megabytes of text
MOST_POINTS = 2_000  # of one: a screen is not wider


@dataclass
class Thinned:
    """The curves of the trials that have one, by id."""

    most: int  # points of a curve
    values: dict[str, array[float]]  # by metric: of all trials, one after another
    epochs: dict[str, tuple[float, ...]] = field(default_factory=dict)  # many share theirs
    starts: dict[str, int] = field(default_factory=dict)  # where a trial's values begin
    longest: int = 0  # points recorded of a trial
    step: int = 1  # every which of them is kept, of the longest

    def of(self, metric: str, trials: Iterable[str]) -> array[float]:
        """Return a metric's values of trials, one after another."""
        values, found = self.values[metric], array("d")
        for trial in trials:
            if trial in self.starts:
                start = self.starts[trial]
                found.extend(values[start : start + len(self.epochs[trial])])
        return found


def thinned_curves(curves: Iterable[Curve], metrics: Sequence[str], trials: int) -> Thinned:
    """Keep as many points of each of the curves of a run's curves.csv as fit.

    Of a trial are kept its first and last point and every 2nd, 4th or 8th ..., so that those of a
    trial that ended early are among those of the others. `curves` have the values of "epoch" and
    the metrics.
    """
    most = min(MOST_POINTS, max(2, MOST_VALUES // (trials * len(metrics))))
    kept = Thinned(most, {name: array("d") for name in metrics})
    axes: dict[tuple[float, ...], tuple[float, ...]] = {}
    filled = 0
    for points in curves:
        count = len(points.steps)
        step = 1
        while -(-count // step) > most:
            step *= 2
        kept.step, kept.longest = max(kept.step, step), max(kept.longest, count)
        last = (count - 1) % step != 0  # is kept, too
        for name, values in kept.values.items():
            values.extend(_every(points.values[name], step, last=last))
        epochs = tuple(_every(points.values["epoch"], step, last=last))
        kept.epochs[points.trial] = axes.setdefault(epochs, epochs)
        kept.starts[points.trial] = filled
        filled += len(epochs)
    return kept


def _every(values: Sequence[float], step: int, *, last: bool) -> Sequence[float]:
    return [*values[::step], values[-1]] if last else values[::step]


_Place = TypeVar("_Place", int, int | None)

# What diagnoses start from, and nobody looks for in a table.
OWN_FACTS = {end.name for end in FACTS if not end.name.startswith("diverged")}

SHARPNESS = "sharpness"


def curve_metrics(source: MetricOfRun) -> list[str]:
    """Return what curves.csv has of each trial: losses, metrics and measures."""
    return metrics_of(source.run)


def content(source: MetricOfRun, curves: Thinned, theory: RunConstants | None) -> dict[str, Any]:
    """Return the trials of summary.csv, their settings' names and their curves."""
    columns = _table(source.folder, len(source.run.trials))
    places = {setting.values: place for place, setting in enumerate(source.settings)}
    axes: dict[tuple[float, ...], int] = {}
    trials = [trial.id for trial in source.run.trials]
    epochs = [
        axes.setdefault(curves.epochs[trial], len(axes)) if trial in curves.epochs else None
        for trial in trials
    ]
    metrics = curve_metrics(source)
    rates = distinct_labels(trial.lr for trial in source.run.trials)
    return {
        "trials": len(trials),
        "columns": [column.content() for column in columns],
        "facets": _facets(columns, len(source.run.names)),
        "settings": [source.name(setting) for setting in source.settings],
        "rates": {cell: rates[float(cell)] for cell in _named(columns, "lr").distinct()},
        "setting": _shared([places[trial.setting] for trial in source.run.trials]),
        "lost": [place for place, t in enumerate(source.run.trials) if t.loss == inf],
        "metrics": [{"name": n, "label": label_of(n), "log": n in NAMES} for n in metrics],
        "edges": edges(source, theory) if theory and SHARPNESS in metrics else [],
        "axes": [[plain(epoch) for epoch in axis] for axis in axes],
        "epochs": _shared(epochs),
        "curves": {name: packed(curves.of(name, trials)) for name in metrics},
    }


def edges(source: MetricOfRun, theory: RunConstants) -> list[dict[str, Any]]:
    """Return the sharpness up to which steps are stable, where it is known."""
    return [
        {"setting": place, "lr": cell.lr, "edge": plain(expected.edge)}
        for place, setting in enumerate(source.settings)
        for cell in setting.candidates
        if (expected := expected_at(source.run.names, setting, theory, cell.lr))
        and expected.edge is not None
    ]


def expected_at(
    names: Sequence[str], setting: Setting, theory: RunConstants, lr: float
) -> Expectation | None:
    """Return what theory says of a setting at a learning rate."""
    given = dict(zip(names, setting.values, strict=True))
    return expectation(given, lr, theory.of(names, setting.values), theory.goals)


def chart_content(chart: Chart) -> dict[str, Any]:
    """Return a chart as the page's script draws it: of each point x, the median and quartiles."""
    panels = [
        {
            "title": panel.title,
            "lines": [
                {
                    "name": line.label,
                    "diverged": line.diverged,
                    "points": [
                        [plain(n) for n in (x, spread.median, spread.low, spread.high)]
                        for x, spread in line.points
                    ],
                }
                for line in panel.lines
            ],
        }
        for panel in chart.panels
    ]
    caption = ". ".join([chart.title, *chart.notes])
    axes = {"x": chart.x, "y": chart.y, "log_x": chart.log_x, "log_y": chart.log_y}
    return {"panels": panels, "caption": f"{caption}.", **axes}


def embedded(value: object) -> Markup:
    """Return strict JSON that no HTML parser takes for a tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return own_markup(text)


def _shared(values: list[_Place]) -> list[_Place] | _Place:
    """Return what each trial has, once where it is the same of all."""
    return values[0] if len(set(values)) == 1 else values


class _Column:
    """A column of summary.csv: its distinct values and the place of each cell, or its cells.

    The latter where there are so many values that places would make it no smaller.
    """

    def __init__(self, name: str, most: int) -> None:
        """Take the name, and how many distinct values are worth places."""
        self.name, self._most = name, most
        self._places: dict[str, int] | None = {}
        self._at = array("I")
        self._parts: list[list[str] | str] = []  # of cells; joined they take a tenth of the memory

    def add(self, cells: Sequence[str]) -> None:
        """Take some more cells."""
        if self._places is not None:
            places = self._places
            self._at.extend(places.setdefault(cell, len(places)) for cell in cells)
            if len(places) <= self._most:
                return
            values = list(places)
            cells = [values[place] for place in self._at]
            self._places = None
        joined = ",".join(cells)
        apart = joined.count(",") == len(cells) - 1  # no cell has a comma
        self._parts.append(joined if apart else list(cells))

    def distinct(self) -> Iterable[str]:
        """Return the distinct values."""
        return self._places if self._places is not None else dict.fromkeys(self._cells())

    def content(self) -> dict[str, Any]:
        """Return the column as the page's script reads it."""
        if self._places is None:
            whole = [part for part in self._parts if isinstance(part, str)]
            joined = ",".join(whole) if len(whole) == len(self._parts) else self._cells()
            return {"name": self.name, "values": joined}
        values = {"name": self.name, "values": list(self._places)}
        return values if len(self._places) == 1 else {**values, "at": self._at.tolist()}

    def _cells(self) -> list[str]:
        return [
            cell
            for part in self._parts
            for cell in (part.split(",") if isinstance(part, str) else part)
        ]


def _table(folder: Path, trials: int) -> list[_Column]:
    """Return the columns of summary.csv but OWN_FACTS, of which one block at a time is read."""
    blocks = CsvFile(folder / "summary.csv").blocks()
    names = table_of("summary.csv", next(blocks).row(0)).columns
    most = max(1, trials // 3)
    kept = [(at, _Column(name, most)) for at, name in enumerate(names) if name not in OWN_FACTS]
    for block in blocks:
        for at, column in kept:
            column.add(block.column(at))
    return [column for _, column in kept]


def _named(columns: Sequence[_Column], name: str) -> _Column:
    return next(column for column in columns if column.name == name)


def _facets(columns: Sequence[_Column], settings: int) -> list[str]:
    """Return the settings with more than one value: they choose trials."""
    several = columns[1 : settings + 3]  # with the learning rate and the seed, without the id
    return [column.name for column in several if len(list(column.distinct())) > 1]
