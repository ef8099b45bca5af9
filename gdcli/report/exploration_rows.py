"""An exploration as rows: a row a setting, and a row an example of each setting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gdcli.analysis.data_map import REGIONS, rank_correlation
from gdcli.analysis.example_counts import counts_of
from gdcli.csv_cell import csv_line
from gdcli.report.labels import in_full
from gdcli.report.plan import trial_rows
from gdcli.report.trial_labels import trial_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.analysis.rows import Value
    from gdcli.studies.explore import Exploration, Explored

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
    """Return a row a setting; what is not known of one is None.

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


def settings_csv(found: Exploration) -> Iterator[str]:
    """Yield the lines of a CSV file, a row a setting."""
    rows = setting_rows(found)
    yield csv_line(list(rows[0]))
    yield from (csv_line([in_full(value) for value in row.values()]) for row in rows)


def correlations_csv(found: Exploration) -> Iterator[str]:
    """Yield the lines of a CSV file: the rank correlation of every two settings."""
    yield csv_line(["setting", "other", "rank_correlation"])
    pairs = list(zip(labels_of(found), found.settings, strict=True))
    for name, one in pairs:
        for label, other in pairs:
            if one.seeds and other.seeds:
                value = rank_correlation(ranked(one), ranked(other))
                yield csv_line([name, label, in_full(value)])


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
            given = [in_full(value) for value in row.values()]
            columns = [_written(name, setting.measures[name]) for name in names]
            if classes:
                columns.insert(0, _named(found, setting.measures["predicted"]))
            yield "".join(_example_lines(given, [*own.values(), *columns]))


def _example_lines(settings: list[str], columns: list[list[Any]]) -> Iterator[str]:
    for example, values in enumerate(zip(*columns, strict=True)):
        yield csv_line([*settings, str(example), *map(in_full, values)])


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
