"""The run as an experiment of MLflow, with an MLflow run for each trial.

MLflow keeps nan, but makes the largest number there is of inf: infinite values are left out, and
a tag of the trial says which.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from importlib.util import find_spec
from math import isinf
from typing import TYPE_CHECKING, TypeVar

# Read when MLflow is imported. It would report its use to its makers, try for minutes to reach a
# server that is not there, and print labels as they are, whatever they do to a terminal.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
for _name, _setting in SETTINGS.items():
    os.environ.setdefault(_name, _setting)

from mlflow.entities import Metric, Param, RunTag  # noqa: E402 -- after the settings
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from gdcli.errors import RunError, UserError  # noqa: E402
from gdcli.exports.exporter import OUTPUT, RunExporter, label  # noqa: E402
from gdcli.fields import counted, show  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from gdcli.runs.folder import RunFolder, TrialRecord

T = TypeVar("T")
MOST_METRICS, MOST_OTHERS = 1000, 100  # in one request
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
LONGEST_TAG = 5000  # characters that every version takes
TRIAL, RUN, LEFT_OUT = "gdcli.trial", "gdcli.run", "gdcli.left_out"


class ToMlflow(RunExporter):
    """An experiment on a server, or in a database."""

    place = "http://HOST:PORT"

    def write(
        self, run: RunFolder, trials: Collection[str], output: str, *, overwrite: bool
    ) -> list[str]:
        """Log the trials to the experiment named as the run; return what is to be told.

        Trials that are there already are left alone, or replaced with `overwrite`; what an
        interrupted export began is logged anew. Raises UserError for what is not an address,
        RunError where the server cannot be reached or refuses.
        """
        _check(output)
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table it makes
        try:
            return _Log(MlflowClient(output), run, overwrite=overwrite).add(trials)
        except MlflowException as error:
            what = str(error).partition("\n")[0].strip().rstrip(".")
            fix = "see that a server is there"
            raise RunError(f"{OUTPUT}: {output}: MLflow says: {what}; {fix}") from error


def _check(uri: str) -> None:
    """Raise UserError for an address that this MLflow cannot log to."""
    scheme, found, _ = uri.partition("://")
    if not found or scheme == "file":
        what = (
            "is not an address of MLflow's"
            if not found
            else "is a folder, which MLflow has given up"
        )
        fix = "give http://HOST:PORT, or sqlite:///mlflow.db for a file without a server"
        raise UserError(OUTPUT, f"{show(uri)} {what}", fix)
    # mlflow-skinny, the extra, speaks to servers only.
    if scheme.partition("+")[0] in DATABASES and find_spec("sqlalchemy") is None:
        what = f"{show(uri)} is a database, for which all of MLflow is needed"
        raise UserError(
            OUTPUT, what, "pip install mlflow, or give the http://HOST:PORT of a server"
        )


class _Log:
    """The MLflow runs of the trials of one run."""

    def __init__(self, client: MlflowClient, run: RunFolder, *, overwrite: bool) -> None:
        self.client, self.run, self.overwrite = client, run, overwrite
        self.time = int(run.time.timestamp() * 1000)
        self.left_out = 0

    def add(self, trials: Collection[str]) -> list[str]:
        """Log the trials; return what is to be told."""
        experiment = self._experiment()
        there, begun = self._found(experiment)
        kept = 0
        for trial in self.run.records(trials):
            if trial.id in there and not self.overwrite:
                kept += 1
                continue
            self._log(experiment, trial)
            for old in (*there.get(trial.id, ()), *begun.get(trial.id, ())):
                self.client.delete_run(old)
        return list(self._notes(kept))

    def _experiment(self) -> str:
        """Return the id of the experiment, made if there is none of that name."""
        found = self.client.get_experiment_by_name(self.run.name)
        if found is None:
            return str(self.client.create_experiment(self.run.name))
        if found.lifecycle_stage != "active":
            what = f"the experiment {show(self.run.name)} is deleted there"
            fix = f"bring it back: mlflow experiments restore -x {found.experiment_id}"
            raise UserError(OUTPUT, what, fix)
        return str(found.experiment_id)

    def _found(self, experiment: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Return the MLflow runs of each trial that an earlier export finished, and began."""
        there: dict[str, list[str]] = defaultdict(list)
        begun: dict[str, list[str]] = defaultdict(list)
        token = None
        while True:
            wanted = f"tags.`{RUN}` = '{self.run.hash}'"
            page = self.client.search_runs([experiment], wanted, page_token=token)
            for held in page:
                found = begun if held.info.status == "RUNNING" else there
                found[held.data.tags.get(TRIAL, "")].append(held.info.run_id)
            token = page.token
            if not token:
                return there, begun

    def _log(self, experiment: str, trial: TrialRecord) -> None:
        """Log one trial; only then is its MLflow run at its end."""
        tags = {TRIAL: trial.id, RUN: self.run.hash}
        name = label(trial.settings)
        identity = self.client.create_run(experiment, self.time, tags, name).info.run_id
        metrics, left_out = self._metrics(trial)
        given = {n: v for n, v in trial.settings.items() if n != "trial" and v is not None}
        params = [Param(name, str(value)) for name, value in given.items()]
        texts = {f"gdcli.{n}": v for n, v in trial.ends.items() if isinstance(v, str)}
        texts |= {f"{LEFT_OUT}.{name}": ", ".join(points) for name, points in left_out.items()}
        labels = [RunTag(name, text[:LONGEST_TAG]) for name, text in texts.items()]
        for part in _parts(params, MOST_OTHERS):
            self.client.log_batch(identity, params=part)
        for part in _parts(labels, MOST_OTHERS):
            self.client.log_batch(identity, tags=part)
        for part in _parts(metrics, MOST_METRICS):
            self.client.log_batch(identity, metrics=part)
        end = "FAILED" if trial.ends["status"] == "failed" else "FINISHED"
        self.client.set_terminated(identity, end, self.time)
        self.left_out += sum(map(len, left_out.values()))

    def _metrics(self, trial: TrialRecord) -> tuple[list[Metric], dict[str, list[str]]]:
        """Return what a trial measured, and by name the infinite values: "inf at step 16"."""
        metrics, left_out = [], defaultdict(list)
        for name, value, step in _measured(trial):
            if isinf(value):
                left_out[name].append(f"{value} at step {step}")
            else:
                metrics.append(Metric(name, value, self.time, step))
        return metrics, left_out

    def _notes(self, kept: int) -> Iterator[str]:
        if kept:
            trials = counted(kept, "trial was", "trials were")
            yield f"{trials} there already and left alone; --overwrite replaces them"
        if self.left_out:
            values = counted(self.left_out, "infinite value is", "infinite values are")
            yield f"{values} left out, which MLflow has no number for: see the tags {LEFT_OUT}.*"


def _measured(trial: TrialRecord) -> Iterator[tuple[str, float, int]]:
    """Yield name, value and step of every point of a curve, and of the numbers at its end."""
    yield from trial.points()
    for name, value in trial.ends.items():
        if isinstance(value, int | float):
            yield name, float(value), int(trial.ends["steps"] or 0)


def _parts(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), most):
        yield items[first : first + most]
