"""What is printed of an exploration: its settings, a data map, and the likely label errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from gdcli.fields import counted
from gdcli.numbers import all_digits, csv_line, rounded
from gdcli.report.charts.chart import SHARES, scale_of
from gdcli.report.charts.terminal import TERMINAL_COLORS, Frame, scatter
from gdcli.report.console import picture_width, print_lines
from gdcli.report.dry_run import trial_labels, trial_rows
from gdcli.report.text_tables import TextColumn, blocks, print_rows
from gdcli.studies.explore.files import PERCENT, REGIONS, counts_of, rank_correlation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from gdcli.runs.csv_read import Value
    from gdcli.studies.explore.dynamics import Examples, Exploration, Explored
    from gdcli.studies.explore.files import LabelNoise

CLASSIFIED = (
    *("confidence", "variability", "correctness", "forgetting", "first_learned", "el2n"),
    *("margin", "predicted", "region", "likely_error", "loss", "final_loss"),
)
REGRESSED = ("loss", "loss_deviation", "final_loss")


def columns_of(found: Exploration) -> tuple[str, ...]:
    """Return the measures that there are of an example."""
    return CLASSIFIED if found.examples.labels is not None else REGRESSED


def labels_of(found: Exploration) -> list[str]:
    """Return what tells the settings apart, in a few words each."""
    return trial_labels([setting.trial for setting in found.settings])


def setting_rows(found: Exploration) -> list[dict[str, Value]]:
    """Return a row for each setting; what is not known of one is None.

    rank_correlation is Spearman's, of the examples' confidence (or loss, without classes) in this
    setting and in the one with the lowest training loss at the end.
    """
    return [{**own, **c} for own, c in zip(_settings(found), count_rows(found), strict=True)]


def count_rows(found: Exploration) -> list[dict[str, Value]]:
    """Return the same rows without the columns that say which setting it is."""
    counts = [_counts(setting, found) for setting in found.settings]
    names = list(dict.fromkeys(name for count in counts for name in count))
    return [{name: count.get(name) for name in names} for count in counts]


def _settings(found: Exploration) -> list[dict[str, Value]]:
    rows = trial_rows([setting.trial for setting in found.settings])
    return [{k: v for k, v in row.items() if k not in ("trial", "seed")} for row in rows]


def _counts(setting: Explored, found: Exploration) -> dict[str, Value]:
    counts: dict[str, Value] = {"seeds": setting.seeds, "diverged": setting.diverged}
    if not setting.seeds:
        return counts
    counts["train_loss"] = setting.loss
    expected = setting.noise.expected_false if setting.noise else None
    counts |= counts_of(setting.measures, found.examples.flipped, expected)
    lowest = found.trained[0]
    return counts | {"rank_correlation": rank_correlation(ranked(setting), ranked(lowest))}


def ranked(setting: Explored) -> NDArray[Any]:
    """Return what examples are ranked by: their confidence, or their loss without classes."""
    own = setting.measures
    return own["confidence"] if "confidence" in own else own["loss"]


def tables_of(found: Exploration) -> dict[str, Iterator[str]]:
    """Return the lines of each file of an exploration's folder."""
    return {
        "examples.csv": examples_csv(found),
        "settings.csv": settings_csv(found),
        "correlations.csv": correlations_csv(found),
    }


def settings_csv(found: Exploration) -> Iterator[str]:
    """Yield the lines of a CSV file, a row for each setting."""
    rows = setting_rows(found)
    yield csv_line(list(rows[0]))
    yield from (csv_line([all_digits(value) for value in row.values()]) for row in rows)


def correlations_csv(found: Exploration) -> Iterator[str]:
    """Yield the lines of a CSV file: the rank correlation of every two settings."""
    yield csv_line(["setting", "other", "rank_correlation"])
    pairs = list(zip(labels_of(found), found.settings, strict=True))
    for name, one in pairs:
        for label, other in pairs:
            if one.seeds and other.seeds:
                value = rank_correlation(ranked(one), ranked(other))
                yield csv_line([name, label, all_digits(value)])


def examples_csv(found: Exploration) -> Iterator[str]:
    """Yield a CSV file, setting by setting of those that were trained: a row an example."""
    settings = _settings(found)
    own = {**_named_columns(found), **target_columns(found)}
    names = columns_of(found)
    classes = found.examples.described.classes
    measured = [*(["predicted_class"] if classes else []), *names]
    yield csv_line([*settings[0], "example", *own, *measured])
    for row, setting in zip(settings, found.settings, strict=True):
        if setting.seeds:
            given = [all_digits(value) for value in row.values()]
            columns = [_written(name, setting.measures[name]) for name in names]
            if classes:
                columns.insert(0, _named(found, setting.measures["predicted"]))
            yield "".join(_example_lines(given, [*own.values(), *columns]))


def _example_lines(settings: list[str], columns: list[list[Any]]) -> Iterator[str]:
    for example, values in enumerate(zip(*columns, strict=True)):
        yield csv_line([*settings, str(example), *map(all_digits, values)])


def _named_columns(found: Exploration) -> dict[str, list[Any]]:
    """Return where the examples stand in the user's file, and the names of their classes."""
    examples, about = found.examples, found.examples.described
    columns: dict[str, list[Any]] = {about.counted: list(about.rows)} if about.rows else {}
    if about.classes and examples.labels is not None and examples.original is not None:
        columns["class"] = _named(found, examples.labels)
        columns["original_class"] = _named(found, examples.original)
    return columns


def _named(found: Exploration, places: NDArray[Any]) -> list[str]:
    return [found.examples.class_name(place) for place in places.tolist()]


def target_columns(found: Exploration) -> dict[str, list[Any]]:
    """Return what is known of the examples' targets, by column."""
    examples = found.examples
    if examples.labels is None or examples.original is None or examples.flipped is None:
        y = examples.data.train["y"]
        return {"target": [" ".join(map(repr, row)) for row in y.reshape(len(y), -1).tolist()]}
    return {
        "label": examples.labels.tolist(),
        "original_label": examples.original.tolist(),
        "flipped": examples.flipped.tolist(),
    }


def _written(name: str, values: NDArray[Any]) -> list[Any]:
    """Return a column's values; None where an example was never learned."""
    if name == "region":
        return [REGIONS[place] for place in values.tolist()]
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 -- nan


MOST = 10
MOST_CLASSES = 3  # that are not told apart
LONGEST = 20  # characters of a class's name
LEARNT_BY_HEART = 0.99  # of the examples right at the end: wrong labels have been learnt, too


def suspect_lines(found: Exploration, setting: Explored) -> Iterator[str | Text]:
    """Yield what a setting says of wrong labels; nothing where there are no classes."""
    if found.examples.labels is None or setting.noise is None:
        return
    noise, own = setting.noise, setting.measures
    yield ""
    yield from _judged(noise)
    for place in noise.untold[:MOST_CLASSES]:
        name = clipped(found.examples.class_name(place))
        yield f"class {name}: the model expects another label for most of its examples, and does"
        yield "  not tell it from the other classes: none of its labels is accused"
    places = np.flatnonzero(own["likely_error"])
    places = places[np.argsort(own["margin"][places], kind="stable")]
    if len(places):
        yield from _table(places[:MOST], found.examples, own)
    if len(places) > MOST:
        yield f"the first {MOST} of {len(places)}; all are in examples.csv"
    if setting.right_at_end > LEARNT_BY_HEART:
        yield "nearly all labels are right at the end, wrong ones learnt by heart among them: after"
        yield "  fewer epochs, or at a lower learning rate, label errors stand out more"


def _judged(noise: LabelNoise) -> Iterator[str]:
    """Yield whether labels are accused, beside how many would be if every one is right."""
    accused, expected = int(noise.accused.sum()), about(noise.expected)
    if accused:
        count = counted(accused, "example", "examples")
        yield f"The model expects another label for {count}, and about {expected} of these labels"
        yield "are right, by the spread of their classes: the likeliest errors come first"
    elif noise.contradicted:
        count = counted(noise.contradicted, "example", "examples")
        yield f"The model expects another label for {count}; overlap and rarity of the classes"
        yield f"explain about {expected}: that is not a sign of wrong labels"
    else:
        yield "The model contradicts no label"


def _table(
    places: NDArray[np.int64], examples: Examples, own: Mapping[str, NDArray[Any]]
) -> Iterator[Text]:
    rows, labels = examples.described.rows, examples.labels
    counted_by = examples.described.counted.replace("_", " ")
    columns = [
        *([TextColumn(counted_by, [str(rows[i]) for i in places])] if rows else []),
        TextColumn("labelled", [_name(examples, labels[i]) for i in places]),  # type: ignore[index]
        TextColumn("model expects", [_name(examples, own["predicted"][i]) for i in places]),
        *(
            TextColumn(name, [rounded(float(own[name][i])) for i in places])
            for name in (
                "margin",
                "confidence",
                *(() if rows else ("variability",)),
            )  # of 80 columns
        ),
    ]
    flipped = examples.flipped
    if flipped is not None and flipped.any():
        columns.append(TextColumn("made wrong", ["yes" if flipped[i] else "no" for i in places]))
    yield from blocks(TextColumn("example", [str(i) for i in places]), columns, 80)


def _name(examples: Examples, place: int) -> str:
    return clipped(examples.class_name(int(place)))


def clipped(name: str) -> str:
    """Return a class's name, the start of a long one."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def about(expected: float) -> str:
    """Return a number of examples that is expected, for people."""
    return str(round(expected)) if expected >= 1 else "1"


MOST_SETTINGS = 12  # whose correlations are printed
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
MARKS = {
    name: (name[0], TERMINAL_COLORS[place]) for name, place in zip(REGIONS, (2, 1, 4), strict=True)
}


def print_exploration(found: Exploration, form: str, console: Console) -> None:
    """Print a row for each setting as csv, json or md; as the `form` table, the map of one, too."""
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
    yield from blocks(TextColumn("setting", labels), columns, console.width)
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
        yield from _map(lowest, picture_width(console))
    yield from suspect_lines(found, lowest)


def _title(found: Exploration) -> str:
    examples = found.examples
    count = counted(examples.data.examples, "training example", "training examples")
    flipped = 0 if examples.flipped is None else int(examples.flipped.sum())
    wrong = f"; {counted(flipped, 'label was', 'labels were')} made wrong" if flipped else ""
    return f"{found.experiment.name}: {count}, looked at after every epoch{wrong}"


def _column(name: str, rows: Sequence[Mapping[str, Value]]) -> TextColumn:
    cells = [_said(name, row) for row in rows]
    return TextColumn(name.replace("_", " "), cells)


def _said(name: str, row: Mapping[str, Value]) -> str:
    value = row[name]
    if value is None:
        why = "diverged" if row["diverged"] else "failed"
        return why if name == "train_loss" else ""
    if name == "expected_false" and isinstance(value, float):
        return about(value)
    if name in PERCENT and isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:.3f}" if name == "rank_correlation" else rounded(value)


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
        TextColumn(f"({place})", [_correlation(other, one) for _, other in pairs])
        for place, (_, one) in enumerate(pairs, start=1)
    ]
    names = [f"({place}) {name}" for place, (name, _) in enumerate(pairs, start=1)]
    yield from blocks(TextColumn("", names), columns, width)


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
