"""Run an experiment from Python, and read its results as DataFrames.

The trials are trained in a process that begins as the command line's does. This one may have
imported torch with other threads, be a notebook's, or a script that must not be imported again.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gdcli.analysis.diagnoses import diagnoses_of
from gdcli.errors import RunError, UserError
from gdcli.experiment.axis import one
from gdcli.experiment.toml import dump
from gdcli.fields import counted, options_of, show
from gdcli.process import SETTINGS
from gdcli.report.console import progress_bar
from gdcli.runs import manifest
from gdcli.runs.folder import RunFolder, state_of
from gdcli.runs.lookup import any_folder_of, folder_of
from gdcli.runs.options import RunOptions, checked_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.options import Progress
    from gdcli.runs.table import TableName

ROWS = 100_000  # of a block that is read at a time


class Run:
    """The results of a run: its folder, manifest and tables.

    The tables are read when they are first used. Of an unfinished run they hold the trials that are
    stored by then.
    """

    def __init__(self, path: Path) -> None:
        """Take the folder of a run; `gdcli.run` and `gdcli.load` return a Run."""
        self.path = path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def finished(self) -> bool:
        """Whether the run has results for all of its trials."""
        return (self.path / "manifest.json").exists()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of manifest.json: the experiment, versions, device, trials by status.

        Raises UserError where the run is not finished: it has none yet.
        """
        return manifest.read(folder_of(str(self.path)))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row for each recorded point, with the columns of curves.csv."""
        return self._frame("curves.csv")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row for each trial, with the columns of summary.csv."""
        return self._frame("summary.csv")

    @cached_property
    def diagnoses(self) -> pd.DataFrame:
        """The diagnosis of each trial, by its id: state, quality, explanation, advice, qualities.

        The state of a trial that failed is "failed". Raises UserError where the run is not
        finished.
        """
        import pandas as pd

        found = list(diagnoses_of(folder_of(str(self.path))).all())
        texts = {
            "state": [one.state or "failed" for _, one in found],
            "quality": [one.quality for _, one in found],
            "explanation": [one.phrase for _, one in found],
            "advice": [one.advice for _, one in found],
        }
        ids = pd.Index([trial.id for trial, _ in found], name="trial")
        columns = {n: pd.Series(values, ids, "str") for n, values in texts.items()}
        qualities = pd.Series([one.qualities for _, one in found], ids, "object")
        return pd.DataFrame({**columns, "qualities": qualities})

    def weights(self, trial: str | None = None, *, trust: bool = False) -> dict[str, NDArray[Any]]:
        """Return the parameters and buffers of a trial after its last step, by name.

        Runs keep no weights: the trial is trained again in a process of its own, and its curve must
        be the recorded one. `trial` is an id of the summary, optional if the run has one trial;
        with `trust`, code that the run's folder names may run.

        Raises UserError for a run that is not finished and a trial that failed or diverged,
        RunError where the curve differs.
        """
        if trial is None:
            ids = self.summary["trial"].tolist()
            if len(ids) != 1:
                what = f"the run has {len(ids)} trials"
                raise UserError("trial", what, "give an id of summary's column trial")
            (trial,) = ids
        return weights_apart(self.path, trial, trust=trust)

    def _frame(self, table: TableName) -> pd.DataFrame:
        # pandas takes half a second to import: an experiment can be made and run without it.
        import pandas as pd

        run = RunFolder(self.path)
        run.check()
        columns = run.table(table).columns
        dtypes = {n: _dtype(kind, always=columns[n].always) for n, kind in run.kinds(table).items()}
        frames = [
            pd.DataFrame({n: pd.Series(values, dtype=dtypes[n]) for n, values in block.items()})
            for block in run.blocks(table, (), ROWS)
        ]
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        """Return the folder, and how the trials ended or how many are stored."""
        if not self.finished:
            return f"<Run {str(self.path)!r}: {state_of(self.path).unfinished}>"
        trials = self.manifest["trials"]
        ends = "".join(f", {trials[end]} {end}" for end in ("diverged", "failed") if trials[end])
        count = counted(trials["all"], "trial", "trials")
        return f"<Run {str(self.path)!r}: {count}{ends}>"


def _dtype(kind: str, *, always: bool) -> Any:
    if kind == "whole":
        return "int64" if always else "Int64"  # which has missing values
    return {"number": "float64", "text": "str"}[kind]


def load(path: str | Path, *, partial: bool = False) -> Run:
    """Return the run in a folder, given by its path or by its name in results.

    Raises UserError if there is no such run, if its files were changed, or if it is not finished;
    with `partial`, an unfinished run has the trials that are stored.
    """
    folder = any_folder_of(str(path))
    if not partial and not (folder / "manifest.json").exists():
        fix = "give its command again, which continues it, or partial=True for what is there"
        raise UserError(show(str(path)), state_of(folder).unfinished, fix)
    RunFolder(folder).check()
    return Run(folder)


# A signal that comes before it can be handled ends the process without a traceback.
BEGIN = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"
CODE = f"{BEGIN}; from gdcli.api.child import main; main()"


def execute_apart(experiment: Experiment, options: RunOptions, *, quiet: bool) -> Path:
    """Run an experiment in a process of its own; return its folder, or raise what it raised."""
    return Path(_apart(("run", dump(experiment), options), quiet=quiet))


def weights_apart(folder: Path, trial: str, *, trust: bool) -> dict[str, NDArray[Any]]:
    """Train a trial of a run again in a process of its own; return its weights by name."""
    found: dict[str, NDArray[Any]] = _apart(("weights", folder, trial, trust), quiet=True)
    return found


def _apart(request: tuple[Any, ...], *, quiet: bool) -> Any:
    """Return the answer of a child process to a request, or raise the error that it raised."""
    progress = progress_bar(quiet=quiet)
    with _child() as child:
        try:
            return _hear(child, request, progress)
        except KeyboardInterrupt:
            _interrupt(child)
            raise
        finally:
            progress.stop()
            if child.poll() is None:
                child.kill()


def _child() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return subprocess.Popen(  # noqa: S603 -- a fixed program
        [sys.executable, "-P", "-c", CODE],
        env={**os.environ, **SETTINGS, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # this process passes Ctrl-C on to it
    )


def _hear(child: subprocess.Popen[bytes], request: object, progress: Progress) -> Any:
    """Send the request to the child, and receive its messages: `child.main` describes them."""
    with suppress(BrokenPipeError):  # its end is noticed below
        pickle.dump(request, _pipe(child.stdin))
        _pipe(child.stdin).flush()  # and stays open: its end would end the process
    while True:
        try:
            word, *given = pickle.load(_pipe(child.stdout))  # noqa: S301 -- from our own process
        except EOFError:
            raise RunError(_death(child)) from None
        if word == "done":
            return given[0]
        if word == "raise":
            raise given[0]
        getattr(progress, word)(*given)


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """Let the child finish the batches in hand; a second interrupt ends it at once."""
    child.send_signal(signal.SIGINT)
    try:
        _pipe(child.stdout).read()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        _pipe(child.stdout).read()


def _death(child: subprocess.Popen[bytes]) -> str:
    code = child.wait()
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    fix = "run it again: what is finished is kept"
    return f"the process that ran the experiment ended by {cause}; {fix}"


def _pipe(stream: IO[bytes] | None) -> Any:
    if stream is None:
        raise RuntimeError("a process was started without its pipes")
    return stream


def run(  # noqa: PLR0913 -- options of the command line, each with its type
    experiment: Experiment,
    output: str | Path = "results",
    *,
    name: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    reuse: Iterable[str] = (),
    trust: bool = False,
    device: str | None = None,
    engine: str | None = None,
    memory: str | None = None,
    quiet: bool = False,
) -> Run:
    """Run an experiment in its folder in `output`, and return its results.

    The arguments mean the same as the options of those names. A finished run is not run again, an
    interrupted one is continued. The trials are trained in processes of their own, whatever this
    one has loaded. After an interrupt the batches in hand are finished; a second interrupt ends the
    run at once. Finished batches are kept.

    Raises UserError for what the command line would refuse, and RunError where the machine fails.
    """
    given = {
        "output": output,
        "name": None if name is None else checked_name(name, "--name"),
        "workers": workers,
        "overwrite": overwrite,
        "retry-failed": retry_failed,
        "reuse": list(reuse),
        "trust": trust,
        "device": device,
        "engine": engine,
        "memory": memory,
    }
    known = options_of(RunOptions)
    options = RunOptions(
        **{
            known[key].field: one(value, known[key], f"--{key}")
            for key, value in given.items()
            if value is not None
        }
    )
    return load(execute_apart(experiment, options, quiet=quiet))
