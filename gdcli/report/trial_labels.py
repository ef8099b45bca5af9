"""What tells trials of one grid apart, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdcli.report.console import literal
from gdcli.report.labels import texts_of
from gdcli.report.plan import trial_rows

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial

ALWAYS = ("method", "batch_size", "optimizer", "lr")
PLAIN = ("method", "batch_size", "optimizer")  # said without their name


def trial_labels(trials: Sequence[Trial]) -> list[str]:
    """Return a label a trial, such as "minibatch 32 momentum lr 0.1 seed 3"."""
    rows = trial_rows(trials)
    names = [name for name in rows[0] if name != "trial"]
    told = [n for n in names if n in ALWAYS or len({repr(row[n]) for row in rows}) > 1]
    texts = texts_of(rows, told)
    return [
        literal(
            " ".join(
                text[name] if name in PLAIN else f"{name} {text[name]}"
                for name in told
                if row[name] is not None
            )
        )
        for row, text in zip(rows, texts, strict=True)
    ]
