"""The labels that are likely wrong, the likeliest first, and how many of them are right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.fields import counted
from gdcli.report.blocks import Column, blocks
from gdcli.report.labels import short

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.text import Text

    from gdcli.analysis.label_noise import LabelNoise
    from gdcli.studies.explore import Exploration, Explored
    from gdcli.studies.labelled import Examples

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
        yield f"explain about {expected}: that is no sign of wrong labels"
    else:
        yield "The model contradicts no label"


def _table(
    places: NDArray[np.int64], examples: Examples, own: Mapping[str, NDArray[Any]]
) -> Iterator[Text]:
    rows, labels = examples.described.rows, examples.labels
    counted_by = examples.described.counted.replace("_", " ")
    columns = [
        *([Column(counted_by, [str(rows[i]) for i in places])] if rows else []),
        Column("labelled", [_name(examples, labels[i]) for i in places]),  # type: ignore[index]
        Column("model expects", [_name(examples, own["predicted"][i]) for i in places]),
        *(
            Column(name, [short(float(own[name][i])) for i in places])
            for name in (
                "margin",
                "confidence",
                *(() if rows else ("variability",)),
            )  # of 80 columns
        ),
    ]
    flipped = examples.flipped
    if flipped is not None and flipped.any():
        columns.append(Column("made wrong", ["yes" if flipped[i] else "no" for i in places]))
    yield from blocks(Column("example", [str(i) for i in places]), columns, 80)


def _name(examples: Examples, place: int) -> str:
    return clipped(examples.class_name(int(place)))


def clipped(name: str) -> str:
    """Return a class's name, the start of a long one."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def about(expected: float) -> str:
    """Return a number of examples that is expected, for people."""
    return str(round(expected)) if expected >= 1 else "1"
