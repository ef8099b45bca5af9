"""A run as one strict JSON text, a line a trial.

JSON has no nan and no inf: they are the texts "nan", "inf" and "-inf". What was not measured is
null.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from gdcli.exports.target import refuse_existing
from gdcli.runs import atomic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from gdcli.runs.csv_read import Value
    from gdcli.runs.folder import Contents, TrialContents

FORMAT = 1


def export(run: Contents, trials: Collection[str], file: Path, *, overwrite: bool) -> None:
    """Write the file; raises UserError where it is there already."""
    refuse_existing([file], overwrite=overwrite)
    atomic.write(file, (line.encode() for line in lines(run, trials)))


def lines(run: Contents, trials: Collection[str]) -> Iterator[str]:
    """Yield the text line by line: the run, and then each of its trials."""
    about = {"format": FORMAT, "run": run.name, "state": run.state, "manifest": run.manifest}
    yield f'{_text(about)[:-1]}, "trials": [\n'
    before = ""
    for trial in run.trials(trials):
        yield f"{before}{_text(_trial(trial))}"
        before = ",\n"
    yield "\n]}\n"


def _text(value: object) -> str:
    # Escaped beyond ASCII, a label cannot do anything to a terminal.
    return json.dumps(value, allow_nan=False)


def _trial(trial: TrialContents) -> dict[str, Any]:
    return {
        "trial": trial.id,
        "settings": _plain(trial.settings),
        "summary": _plain(trial.ends),
        "curve": {name: [_number(value) for value in held] for name, held in trial.curve.items()},
    }


def _plain(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: Value) -> Value:
    return str(value) if isinstance(value, float) and not isfinite(value) else value
