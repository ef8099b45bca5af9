"""What is printed of a learning-rate range test: a table, and the losses over the rates."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.discovery import name_of
from gdcli.grid import Trial, setting
from gdcli.report.blocks import Column, blocks
from gdcli.report.console import literal
from gdcli.report.labels import for_json, in_full, short
from gdcli.report.listing import print_json, print_listing
from gdcli.report.pictures.picture import MOST_LINES
from gdcli.report.plot import PlotCurve, plot

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gdcli.analysis.rows import Value
    from gdcli.experiment import Experiment
    from gdcli.studies.lr_range import SettingRange
    from gdcli.studies.options import RangeTest

OFF_TERMINAL = 80  # columns of a plot in a file or a pipe


def print_ranges(
    experiment: Experiment,
    ranges: Sequence[SettingRange],
    test: RangeTest,
    form: str,
    console: Console,
) -> None:
    """Print a row a setting as csv, json or md; as the `form` table, the ramps' losses, too."""
    rows = [{**_settings(r.trial, experiment.varied), **_found(r)} for r in ranges]
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    elif form == "table":
        for line in _lines(ranges, rows, experiment.varied, test, console):
            console.print(line, soft_wrap=True)
    else:
        text = short if form == "md" else in_full
        print_listing([{k: text(v) for k, v in row.items()} for row in rows], form, console)


def _settings(trial: Trial, varied: Sequence[str]) -> dict[str, Value]:
    """Return what is fixed in a setting, by column."""
    return {
        "method": trial.method,
        "batch_size": trial.batch_size,
        "optimizer": name_of(trial.optimizer),
        **{name: setting(trial, name) for name in varied},
    }


def _found(found: SettingRange) -> dict[str, Value]:
    limit = found.limit
    return {
        "suggested_lr": found.suggested,
        "best_held_lr": found.best_held,
        "diverges_from_lr": found.diverges,
        "limit": limit.lr if limit else None,
        "limit_is": ("exact" if limit.exact else "sufficient") if limit else None,
    }


def _lines(
    ranges: Sequence[SettingRange],
    rows: Sequence[Mapping[str, Value]],
    varied: Sequence[str],
    test: RangeTest,
    console: Console,
) -> Iterator[str | Text]:
    labels = [_label(r.trial, varied) for r in ranges]
    yield f"Learning rates from {test.lr_from:g} to {test.lr_to:g} in {test.steps} steps"
    columns = [
        Column("suggested lr", [_or(row["suggested_lr"], "none") for row in rows]),
        Column("best held lr", [_or(row["best_held_lr"], "none") for row in rows]),
        Column("diverges from", [_or(row["diverges_from_lr"], "nowhere") for row in rows]),
    ]
    if any(row["limit"] is not None for row in rows):
        columns.append(Column("limit in theory", [_limit(r) for r in ranges]))
    yield from blocks(Column("setting", labels), columns, console.width)
    yield from _key(ranges, test)
    if console.options.ascii_only:
        yield f"\nThe plot needs UTF-8, and the output is {console.encoding}"
        return
    yield "\nTraining loss while the learning rate grows, median over seeds, smoothed"
    width = console.width if console.is_terminal else OFF_TERMINAL
    curves = [_curve(r, label) for r, label in zip(ranges, labels, strict=True)]
    yield from plot(curves[:MOST_LINES], width, "log10 lr")
    if len(curves) > MOST_LINES:
        yield f"   the first {MOST_LINES} of {len(curves)} settings"


def _or(value: Value, word: str) -> str:
    return word if value is None else short(value)


def _limit(found: SettingRange) -> str:
    if found.limit is None:
        return ""
    return short(found.limit.lr) + ("" if found.limit.exact else " or more")


def _key(ranges: Sequence[SettingRange], test: RangeTest) -> Iterator[str]:
    """Yield what the columns mean."""
    yield "suggested: where the loss falls steepest on the logarithmic axis, as the rate grows"
    yield f"best held, diverges from: a rate held for {test.steps} steps has the lowest loss, or"
    yield f"  ends above {test.diverge_at:g} times the start's"
    limits = [r.limit for r in ranges if r.limit]
    if any(limit.exact for limit in limits):
        yield "limit: descent on all examples diverges above it and converges below it"
    if not all(limit.exact for limit in limits):
        yield "limit or more: converges below it; whether it diverges above it, theory leaves open"


def _label(trial: Trial, varied: Sequence[str]) -> str:
    given = _settings(trial, varied)
    words = [given.pop("method"), given.pop("batch_size"), given.pop("optimizer")]
    words += [f"{name}={value}" for name, value in given.items() if value is not None]
    return literal(" ".join(str(word) for word in words if word is not None))


def _curve(found: SettingRange, label: str) -> PlotCurve:
    points = [(math.log10(lr), loss) for lr, loss in zip(found.rates, found.smooth, strict=True)]
    end = next((i for i, (_, loss) in enumerate(points) if math.isinf(loss)), len(points))
    return PlotCurve(label, points[: end + 1])


def curve_csv(experiment: Experiment, ranges: Sequence[SettingRange]) -> str:
    """Return the losses as CSV: a row a setting, a seed and a rate.

    ramp_loss is the loss after the ramp's step at the rate, empty once it has ended; smooth_loss
    the smoothed median over seeds; held_loss the loss after holding the rate, where it was held.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    own = list(_settings(ranges[0].trial, experiment.varied))
    writer.writerow([*own, "seed", "lr", "ramp_loss", "smooth_loss", "held_loss"])
    for found in ranges:
        values = list(_settings(found.trial, experiment.varied).values())
        for row in _losses(found):
            writer.writerow(map(in_full, [*values, *row]))
    return text.getvalue()


def _losses(found: SettingRange) -> Iterator[list[Value]]:
    for order, (seed, losses) in enumerate(found.ramps.items()):
        for place, lr in enumerate(found.rates):
            ramp = losses[place] if place < len(losses) else None
            held = found.held[lr][order] if lr in found.held else None
            yield [seed, lr, ramp, found.smooth[place], held]
