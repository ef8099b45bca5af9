"""What is shown of a search for learning rates: sentences, a table, a picture, and a small page."""

from __future__ import annotations

import csv
import io
from html import escape
from math import isfinite
from typing import TYPE_CHECKING

from gdcli.analysis.quantiles import Spread, spread
from gdcli.catalog.catalog import name_of
from gdcli.experiment.grid import Trial, setting
from gdcli.fields import counted
from gdcli.numbers import all_digits, for_json, rounded
from gdcli.report.charts.chart import MOST_LINES, Chart, Line, Panel
from gdcli.report.charts.figure_files import figure_bytes
from gdcli.report.charts.terminal import picture_lines
from gdcli.report.console import literal
from gdcli.report.text_tables import TextColumn, blocks, print_json, print_listing
from gdcli.studies.lr_range.search import GOOD, HIGHEST, LOWEST, NEAR, place_of, rate_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.text import Text

    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.csv_read import Value
    from gdcli.studies.lr_range.search import SettingRange
    from gdcli.studies.options import RangeTest


def chart(ranges: Sequence[SettingRange], labels: Sequence[str], answers: Sequence[str]) -> Chart:
    """Return a line a setting: the training loss at the end over the rates that were held."""
    pairs = zip(ranges, labels, strict=True)
    lines = [Line(f"{label}: {_advice(r)}", list(_points(r))) for r, label in pairs]
    drawn = [line for line in lines if line.points]
    more = len(drawn) - MOST_LINES
    notes = [f"the first {MOST_LINES} of {len(drawn)} settings"] if more > 0 else []
    title = "Training loss after each learning rate is held"
    return Chart(
        f"{title}\n{answers[0]}" if len(ranges) == 1 else title,
        [Panel("", drawn[:MOST_LINES])],
        "learning rate",
        "training loss at the end",
        log_x=True,
        notes=notes,
    )


def _advice(found: SettingRange) -> str:
    """Return the rate to use, in a few words: a legend hides what is below it."""
    return "no rate" if found.suggested is None else f"use {found.suggested:g}"


def _points(found: SettingRange) -> Iterator[tuple[float, Spread]]:
    """Yield the losses of the rates below the first that is not stable."""
    for place, level in found.levels.items():
        if level.state != "stable":
            return
        rate = rate_at(place)
        yield rate, spread(list(found.held[rate].values()))


UNEVEN = 100.0  # times the smallest of the features, or 1, that are worth a word


def print_ranges(
    experiment: Experiment,
    ranges: Sequence[SettingRange],
    test: RangeTest,
    form: str,
    console: Console,
) -> None:
    """Print a row for each setting as csv, json or md; as the `form` table, the held rates, too."""
    rows = [{**_settings(r.trial, experiment.varied), **_found(r, test)} for r in ranges]
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    elif form == "table":
        for line in _range_lines(ranges, experiment.varied, test, console):
            console.print(line, soft_wrap=True)
    else:
        text = rounded if form == "md" else all_digits
        print_listing([{k: text(v) for k, v in row.items()} for row in rows], form, console)


def _settings(trial: Trial, varied: Sequence[str]) -> dict[str, Value]:
    """Return what is fixed in a setting, by column."""
    return {
        "method": trial.method,
        "batch_size": trial.batch_size,
        "optimizer": name_of(trial.optimizer),
        **{name: setting(trial, name) for name in varied},
    }


def _found(found: SettingRange, test: RangeTest) -> dict[str, Value]:
    limit, good = found.limit, found.good or (None, None)
    place = None if found.suggested is None else found.reading.suggested
    return {
        "suggested": found.suggested,
        "good_from": good[0],
        "good_to": good[1],
        "unstable_from": found.unstable,
        "start_loss": found.start,
        "loss": None if place is None else found.levels[place].loss,
        "steps": found.plan.steps,
        "seeds": len(found.seeds),
        "limit": limit.lr if limit else None,
        "limit_is": ("exact" if limit.exact else "sufficient") if limit else None,
        "answer": answer(found),
        "reason": "; ".join([_why(found), *remarks(found, test)]),
    }


def answer(found: SettingRange) -> str:
    """Return the sentence: which rate to use, or what hinders."""
    good = found.good
    if found.bottomless:
        return "no rate is best: at some the loss falls without end, so it may have no minimum"
    if good is None or found.suggested is None:
        return _hindrance(found)
    region = f"{good[0]:g} alone" if good[0] == good[1] else f"{good[0]:g} to {good[1]:g}"
    return f"use {found.suggested:g} (good: {region}; {_edge(found)})"


def _edge(found: SettingRange) -> str:
    """Return from which rate on descent is unstable."""
    if found.unstable is None:
        return f"no rate up to {max(found.held):g} is unstable"
    if found.levels[place_on(found.unstable)].state == "raised":
        return f"trials fail from {found.unstable:g}"
    return f"unstable from {found.unstable:g}"


def _hindrance(found: SettingRange) -> str:
    """Return why there is no rate to use."""
    if not found.held:
        return "no rate can be used: every trial failed"
    if not isfinite(found.start):
        return "no rate can be used: the loss at the start is not finite"
    low, high = min(found.held), max(found.held)
    stable = {level.loss for level in found.levels.values() if level.state == "stable"}
    if not stable:
        return f"no rate can be used: down to {low:g} every one is unstable"
    if found.unstable is not None:
        what = f"below {found.unstable:g}, the first unstable one, none lowers the loss"
        return f"no rate can be used: {what}, down to {low:g}"
    if stable == {found.start}:
        what = "none changes the loss: its gradient at the start is 0, or too small"
        return f"no rate can be used: from {low:g} to {high:g} {what}"
    return f"no rate can be used: from {low:g} to {high:g} none lowers the loss"


def _why(found: SettingRange) -> str:
    if found.suggested is None:
        return answer(found).partition(": ")[2]
    seeds = len(found.seeds)
    over = f", median of {seeds} seeds" if seeds > 1 else ""
    if alike := found.reading.alike:
        ends = f"from {rate_at(alike[0]):g} to {rate_at(alike[1]):g} all rates held"
        near = f"come within {NEAR:.0%} of the way to the lowest training loss"
        return f"it is the default; {ends} {near} after {held_for(found)}{over}"
    first = "below the first unstable rate it" if found.unstable else "of the rates held it"
    return f"{first} ends at the lowest training loss after {held_for(found)}{over}"


def held_for(found: SettingRange) -> str:
    """Return how long each rate is held."""
    plan = found.plan
    steps = counted(plan.steps, "step", "steps")
    if plan.steps_per_epoch == 1:
        return steps
    return f"{plan.steps / plan.steps_per_epoch:.3g} epochs ({steps})"


def remarks(found: SettingRange, test: RangeTest) -> list[str]:
    """Return what else is to be known of a setting: a window too high, features too uneven."""
    said, good = [], found.good
    highest = found.good[1] if found.good else found.unstable
    if highest is not None and highest < test.lr_from:
        said.append(f"such rates lie below --lr-from, {test.lr_from:g}: the search went on there")
    if good and good[0] == good[1]:
        chance = "its low loss may be chance, or the range of good rates narrow"
        said.append(f"the rates beside it are not good: {chance}")
    if good and place_on(good[0]) <= LOWEST:
        said.append(f"the search ends at {rate_at(LOWEST):g}: lower rates may be good, too")
    if good and place_on(good[1]) >= HIGHEST:
        said.append(f"the search ends at {rate_at(HIGHEST):g}: larger rates may be good, too")
    sizes = found.sizes
    if sizes and sizes.largest > UNEVEN * min(sizes.least, 1.0):
        option = getattr(found.trial.problem, "scale", None) == "none"
        how = "scale the features (--scale standard)" if option else "scale the features"
        ends = f"{sizes.least:.2g} to {sizes.largest:.2g}"
        said.append(f"{how}: their root mean squares go from {ends}")
    return said


def _range_lines(
    ranges: Sequence[SettingRange],
    varied: Sequence[str],
    test: RangeTest,
    console: Console,
) -> Iterator[str | Text]:
    labels = labels_of(ranges, varied)
    yield from said(ranges, labels, test)
    yield ""
    yield from key(ranges, test)
    yield ""
    yield from held(ranges, labels, console.width)
    yield from limits(ranges, labels)
    yield ""
    picture = picture_of(labels, ranges)
    yield picture.title
    yield from picture_lines(picture, console)


def picture_of(labels: Sequence[str], ranges: Sequence[SettingRange]) -> Chart:
    """Return the picture of the losses over the rates."""
    return chart(ranges, labels, [answer(found) for found in ranges])


def said(ranges: Sequence[SettingRange], labels: Sequence[str], test: RangeTest) -> Iterator[str]:
    """Yield a sentence a setting, and below it what else is to be known."""
    for found, label in zip(ranges, labels, strict=True):
        yield f"{label}: {answer(found)}" if len(ranges) > 1 else answer(found)
        for remark in remarks(found, test):
            yield f"  {remark}"


def key(ranges: Sequence[SettingRange], test: RangeTest) -> Iterator[str]:
    """Yield what was done, and what the words mean."""
    lengths = list(dict.fromkeys(held_for(found) for found in ranges))
    every = sorted({seed for found in ranges for seed in found.seeds})
    seeds, many = ", ".join(map(str, every)), len(every) > 1
    what = f"Losses are medians over seeds {seeds}." if many else f"The seed is {seeds}."
    yield f"Each rate is held from the start for {' or '.join(lengths)}. {what}"
    yield f"good: {GOOD:.0%} or more of the way from the loss at the start to the lowest one,"
    yield "  as are all rates between it and the one to use"
    whose = "the loss of a seed" if many else "the loss"
    if all(_from_zero(found) for found in ranges):
        yield f"unstable: {whose} ends above {test.diverge_at:g} times that at the start"
    else:
        yield f"unstable: {whose} ends above {test.diverge_at:g} times its height at the start,"
        yield "  over the known minimum, else over 0"


def _from_zero(found: SettingRange) -> bool:
    """Return whether a loss is counted from 0, and starts above it."""
    return found.start > 0 and not found.trial.problem.minimum


def held(ranges: Sequence[SettingRange], labels: Sequence[str], width: int) -> Iterator[Text]:
    """Yield the table of the rates that were held, with the loss after each in every setting."""
    rates = _telling(ranges)
    columns = [
        TextColumn(label, [_start(found), *(_cell(found, rate) for rate in rates)])
        for found, label in zip(ranges, labels, strict=True)
    ]
    yield from blocks(TextColumn("lr", ["start", *(f"{rate:g}" for rate in rates)]), columns, width)


def _telling(ranges: Sequence[SettingRange]) -> list[float]:
    """Return the rates that were held, up to the largest first unstable one of the settings."""
    rates = sorted({rate_at(place) for found in ranges for place in found.levels})
    edges = [found.unstable for found in ranges if found.levels]
    last = max((edge for edge in edges if edge), default=rates[-1])
    return [rate for rate in rates if rate <= last or None in edges]


def _start(found: SettingRange) -> str:
    return f"{rounded(found.start)}     " if found.held else ""


def _cell(found: SettingRange, rate: float) -> str:
    """Return the loss after a rate, and whether it is the one to use, or good."""
    level = found.levels.get(place_on(rate))
    if level is None:
        return ""
    if level.state != "stable":
        return f"{'failed' if level.state == 'raised' else 'unstable'}     "
    word = _mark(found, rate)
    return f"{rounded(level.loss)} {word:<4}"


def _mark(found: SettingRange, rate: float) -> str:
    if rate == found.suggested:
        return "use"
    return "good" if found.good and found.good[0] <= rate <= found.good[1] else ""


def place_on(rate: float) -> int:
    """Return the place of the ladder that has exactly this rate."""
    near = place_of(rate)
    return next(place for place in range(near - 2, near + 3) if rate_at(place) == rate)


def limits(ranges: Sequence[SettingRange], labels: Sequence[str]) -> Iterator[str]:
    """Yield what theory says of the largest stable rate, where it is known."""
    known = [(found.limit, label) for found, label in zip(ranges, labels, strict=True)]
    for limit, label in known:
        if limit:
            of = f"{label} " if len(ranges) > 1 else "descent "
            above = "diverges above it" if limit.exact else "may do so at larger rates, too"
            yield f"in theory {of}converges below {rounded(limit.lr)}, and {above}"


def labels_of(ranges: Sequence[SettingRange], varied: Sequence[str]) -> list[str]:
    """Return a few words that tell each setting from the others."""
    return [_label(found.trial, varied) for found in ranges]


def _label(trial: Trial, varied: Sequence[str]) -> str:
    given = _settings(trial, varied)
    words = [given.pop("method"), given.pop("batch_size"), given.pop("optimizer")]
    words += [f"{name}={value}" for name, value in given.items() if value is not None]
    return literal(" ".join(str(word) for word in words if word is not None))


def curve_csv(experiment: Experiment, ranges: Sequence[SettingRange]) -> str:
    """Return the losses as CSV: a row for each setting, a seed and a rate, of the ramp or held.

    ramp_loss is the loss after the ramp's step at the rate, empty once it has ended; smooth_loss
    the smoothed median over seeds; held_loss the loss after holding the rate.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    own = list(_settings(ranges[0].trial, experiment.varied))
    writer.writerow([*own, "seed", "lr", "ramp_loss", "smooth_loss", "held_loss"])
    for found in ranges:
        values = list(_settings(found.trial, experiment.varied).values())
        for row in _losses(found):
            writer.writerow(map(all_digits, [*values, *row]))
    return text.getvalue()


def _losses(found: SettingRange) -> Iterator[list[Value]]:
    for seed in found.seeds:
        losses = found.ramps.get(seed, ())
        ramp = dict(zip(found.rates, losses, strict=False))
        smooth = dict(zip(found.rates, found.smooth, strict=False))
        for lr in sorted({*found.rates, *found.held}):
            held = found.held.get(lr, {}).get(seed)
            yield [seed, lr, ramp.get(lr), smooth.get(lr), held]


WIDE = 10_000  # columns: a page scrolls
STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
figure { background: #fff; margin: 1rem 0; overflow-x: auto; }
svg { height: auto; max-width: 100%; }
pre { overflow-x: auto; }
"""


def page(experiment: Experiment, ranges: Sequence[SettingRange], test: RangeTest) -> bytes:
    """Return the page: one file that needs no other and no network."""
    labels = labels_of(ranges, experiment.varied)
    return "".join(
        f"{line}\n" for line in _page_lines(experiment.name, ranges, labels, test)
    ).encode()


def _page_lines(
    name: str, ranges: Sequence[SettingRange], labels: Sequence[str], test: RangeTest
) -> Iterator[str]:
    title = f"Learning rates of {name}"
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n<h1>{escape(title)}</h1>"
    for line in said(ranges, labels, test):
        yield f"<p>{escape(line)}</p>"
    drawing = figure_bytes(picture_of(labels, ranges), "svg").decode()
    alt = escape("; ".join(said(ranges, labels, test)))
    yield f'<figure role="img" aria-label="{alt}">{drawing[drawing.index("<svg") :]}</figure>'
    table = "\n".join(line.plain for line in held(ranges, labels, WIDE))
    yield f"<pre>{escape(table)}</pre>"
    for line in [*key(ranges, test), *limits(ranges, labels)]:
        yield f"<p>{escape(line)}</p>"
    yield "</html>"


def file_of(
    experiment: Experiment, ranges: Sequence[SettingRange], test: RangeTest, ending: str
) -> bytes:
    """Return what a file of this ending holds: the losses, an interactive page, or a picture."""
    if ending == ".csv":
        return curve_csv(experiment, ranges).encode()
    if ending in (".html", ".htm"):
        return page(experiment, ranges, test)
    return figure_bytes(picture_of(labels_of(ranges, experiment.varied), ranges), ending[1:])
