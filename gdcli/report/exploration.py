"""What is printed of an exploration: a table of the settings, a data map, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from gdcli.analysis.data_map import REGIONS, rank_correlation
from gdcli.fields import counted
from gdcli.report.blocks import Column, blocks
from gdcli.report.console import print_lines
from gdcli.report.exploration_rows import labels_of, ranked, setting_rows
from gdcli.report.frame import Frame
from gdcli.report.labels import short
from gdcli.report.plot import COLORS
from gdcli.report.rows import print_rows
from gdcli.report.scale import SHARES, scale_of
from gdcli.report.scatter import scatter
from gdcli.report.suspects import about, suspect_lines

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.rows import Value
    from gdcli.studies.explore import Exploration, Explored

OFF_TERMINAL = 80  # columns of a plot in a file or a pipe
MOST_SETTINGS = 12  # whose correlations are printed
PERCENT = {*REGIONS, "never_learned", "unforgettable", "precision", "recall"}
SHOWN = (
    *("train_loss", *REGIONS, "never_learned", "unforgettable", "forgetting"),
    *(
        "likely_errors",
        "expected_false",
        "precision",
        "recall",
        "loss_deviation",
        "rank_correlation",
    ),
)
MARKS = {name: (name[0], COLORS[place]) for name, place in zip(REGIONS, (2, 1, 4), strict=True)}


def print_exploration(found: Exploration, form: str, console: Console) -> None:
    """Print a row a setting as csv, json or md; as the `form` table, the map of one, too."""
    rows = setting_rows(found)
    if form != "table":
        print_rows(rows, form, console)
        return
    print_lines(_lines(found, rows, console), console)


def _lines(
    found: Exploration, rows: Sequence[Mapping[str, Value]], console: Console
) -> Iterator[str | Text]:
    labels = labels_of(found)
    yield _title(found)
    names = [n for n in SHOWN if n in rows[0] and (n != "rank_correlation" or len(rows) > 1)]
    columns = [_column(name, rows) for name in names]
    yield from blocks(Column("setting", labels), columns, console.width)
    yield from _key(found)
    if len(rows) > 1:
        what = "confidence" if found.examples.labels is not None else "mean losses"
        yield f"rank correlation: of the examples' {what}, with those at the lowest training loss"
    if not found.trained:
        return
    lowest = found.trained[0]
    yield from _correlations(found, labels, console.width)
    name = labels[found.settings.index(lowest)]
    lowest_of = ", which has the lowest training loss" if len(rows) > 1 else ""
    if console.options.ascii_only:
        yield f"\nThe data map needs UTF-8, and the output is {console.encoding}"
    else:
        yield f"\n{_map_title(found)} of {name}{lowest_of}"
        yield from _map(lowest, console.width if console.is_terminal else OFF_TERMINAL)
    yield from suspect_lines(found, lowest)


def _title(found: Exploration) -> str:
    examples = found.examples
    count = counted(examples.data.examples, "training example", "training examples")
    flipped = 0 if examples.flipped is None else int(examples.flipped.sum())
    wrong = f"; {counted(flipped, 'label was', 'labels were')} made wrong" if flipped else ""
    return f"{found.experiment.name}: {count}, looked at after every epoch{wrong}"


def _column(name: str, rows: Sequence[Mapping[str, Value]]) -> Column:
    cells = [_said(name, row) for row in rows]
    return Column(name.replace("_", " "), cells)


def in_percent(row: Mapping[str, Value]) -> dict[str, Value]:
    """Return a row with its shares as a person reads them: 7.7%."""
    return {
        name: f"{value:.1%}" if name in PERCENT and isinstance(value, float) else value
        for name, value in row.items()
    }


def _said(name: str, row: Mapping[str, Value]) -> str:
    value = row[name]
    if value is None:
        why = "diverged" if row["diverged"] else "failed"
        return why if name == "train_loss" else ""
    if name == "expected_false" and isinstance(value, float):
        return about(value)
    if name in PERCENT and isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:.3f}" if name == "rank_correlation" else short(value)


def _key(found: Exploration) -> Iterator[str]:
    """Yield what the columns mean."""
    if found.examples.labels is None:
        yield "no probabilities of classes: only losses are followed, their mean over the epochs"
        yield "  and their deviation; nothing is learnt or forgotten"
        return
    options = found.options
    wide, margin = f"{options.ambiguous_from:g}", f"{options.error_margin:g}"
    yield f"ambiguous: the label's probability varies by {wide} or more over the epochs;"
    yield "  easy: of the rest, it is 0.5 or more on average; hard: it is less"
    yield "unforgettable: right at some epoch, and at every later one; forgetting: how"
    yield "  often an example ceases to be right, on average"
    yield f"likely errors: another class is likelier by {margin} on average, and there are"
    yield "  more such labels than the spread of the classes explains; expected false:"
    yield "  how many of these labels are expected to be right"


def _correlations(found: Exploration, labels: Sequence[str], width: int) -> Iterator[Text]:
    """Yield the table of every two settings' rank correlation, where there are some, not many."""
    pairs = [(name, s) for name, s in zip(labels, found.settings, strict=True) if s.seeds]
    if not 2 < len(pairs) <= MOST_SETTINGS:
        return
    yield Text("\nRank correlation of the examples between settings")
    columns = [
        Column(f"({place})", [_correlation(other, one) for _, other in pairs])
        for place, (_, one) in enumerate(pairs, start=1)
    ]
    names = [f"({place}) {name}" for place, (name, _) in enumerate(pairs, start=1)]
    yield from blocks(Column("", names), columns, width)


def _correlation(one: Explored, other: Explored) -> str:
    value = rank_correlation(ranked(one), ranked(other))
    return "" if value is None else f"{value:.3f}"


def _map_title(found: Exploration) -> str:
    if found.examples.labels is None:
        return "Mean loss of the examples over its deviation,"
    return "Data map"


def _map(setting: Explored, width: int) -> Iterator[Text]:
    """Yield the lines of a setting's map."""
    own = setting.measures
    if "region" not in own:
        points = list(zip(own["loss_deviation"].tolist(), own["loss"].tolist(), strict=True))
        scale = scale_of(own["loss"].tolist())
        right = max(x for x, _ in points)
        yield from scatter(
            points, ["."] * len(points), {".": ""}, Frame(scale, 0, right, width, "deviation")
        )
        return
    points = list(zip(own["variability"].tolist(), own["confidence"].tolist(), strict=True))
    marks = [MARKS[REGIONS[place]][0] for place in own["region"].tolist()]
    frame = Frame(SHARES, 0.0, 0.5, width, "variability")
    yield from scatter(points, marks, dict(MARKS.values()), frame)
    shares = (
        f"{m} {n} {(own['region'] == i).mean():.1%}" for i, (n, (m, _)) in enumerate(MARKS.items())
    )
    yield Text(f" confidence up; {', '.join(shares)}")
