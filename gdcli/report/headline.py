"""What comes of a run, in its first sentences: a sentence for settings whose losses compare."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from gdcli.analysis.results import Setting
from gdcli.report.baseline import constant_loss
from gdcli.report.best_rate import result_lines

if TYPE_CHECKING:
    from gdcli.analysis.diagnoses import Diagnoses

OTHER_LOSSES = ("class_weights", "data", "dataset", "target")  # options
MOST = 3  # groups of settings that have a sentence of their own


def headline(diagnoses: Diagnoses, settings: Sequence[Setting], labels: Sequence[str]) -> list[str]:
    """Return which setting has the lowest training loss, among those whose losses compare.

    Where the best constant prediction has another loss, the data or the loss are others, as with
    weights of the classes: the lower of two such losses is not the better one.
    """
    groups: dict[object, list[tuple[Setting, str]]] = {}
    for pair in zip(settings, labels, strict=True):
        named = dict(zip(diagnoses.run.names, pair[0].values, strict=True))
        # Where no constant is known, as of a hinge, the options tell.
        key = (constant_loss(diagnoses, pair[0]), *(named.get(name) for name in OTHER_LOSSES))
        groups.setdefault(key, []).append(pair)
    ran = [group for group in groups.values() if any(isfinite(one.median) for one, _ in group)]
    if len(ran) < 2:
        return result_lines(settings, labels)
    lines = []
    for group in ran[:MOST]:
        lines += result_lines([one for one, _ in group], [label for _, label in group], part=True)
    more = f"and those of {len(ran) - MOST} more groups of settings " if len(ran) > MOST else ""
    return [*lines, f"These losses {more}do not compare: their data or loss functions differ."]
