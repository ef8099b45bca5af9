"""The run as one JSON text, a line for each trial.

It is strict JSON, which has no nan and no inf: they are the texts "nan", "inf" and "-inf". What
was not measured is null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.exports.exporter import RunExporter, refuse_existing
from gdcli.numbers import for_json
from gdcli.runs import atomic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gdcli.runs.csv_read import Value
    from gdcli.runs.folder import RunFolder, TrialRecord

FORMAT = 1


class ToJson(RunExporter):
    """A JSON text."""

    endings = (".json",)
    printed = True

    def write(
        self, run: RunFolder, trials: Collection[str], output: str, *, overwrite: bool
    ) -> list[str]:
        """Write the file; raises UserError where it is there already."""
        file = Path(output)
        refuse_existing([file], overwrite=overwrite)
        atomic.write(file, (line.encode() for line in self.lines(run, trials)))
        return []

    def lines(self, run: RunFolder, trials: Collection[str]) -> Iterator[str]:
        """Yield the text line by line: the run, and then each of its trials."""
        about = {"format": FORMAT, **run.about()}
        yield f'{_text(about)[:-1]}, "trials": [\n'
        before = ""
        for trial in run.records(trials):
            yield f"{before}{_text(_trial(trial))}"
            before = ",\n"
        yield "\n]}\n"


def _text(value: object) -> str:
    # Escaped beyond ASCII, a label cannot do anything to a terminal.
    return json.dumps(value, allow_nan=False)


def _trial(trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.id,
        "settings": _plain(trial.settings),
        "summary": _plain(trial.ends),
        "curve": {name: [for_json(value) for value in held] for name, held in trial.curve.items()},
    }


def _plain(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: for_json(value) for name, value in values.items()}
