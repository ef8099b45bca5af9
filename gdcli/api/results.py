"""The results of a run as DataFrames."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.runs import manifest
from gdcli.runs.contents import Contents
from gdcli.runs.run_folder import any_folder_of, folder_of
from gdcli.runs.state import state_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from gdcli.runs.typed import Table

ROWS = 100_000  # of a block that is read at a time
ALWAYS = {"batch_size", "seed", "step", "examples"}  # whole numbers that no row lacks


class Run:
    """A run: its folder, and what is in it.

    The tables are read when they are first asked for. Of a run that is not finished they hold the
    trials that are stored by then.
    """

    def __init__(self, path: Path) -> None:
        """Take the folder of a run."""
        self.path = path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def finished(self) -> bool:
        """Whether all of its trials are there."""
        return (self.path / "manifest.json").exists()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What manifest.json says: the experiment, versions, device, trials by how they ended.

        Raises UserError where the run is not finished: it has none yet.
        """
        return manifest.read(folder_of(str(self.path)))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row a recorded point, with the columns of curves.csv."""
        return self._frame("curves.csv")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row a trial, with the columns of summary.csv."""
        return self._frame("summary.csv")

    @cached_property
    def diagnoses(self) -> pd.DataFrame:
        """What is said of each trial, by its id: state, quality, explanation, advice, qualities.

        The state of a trial that failed is "failed". Raises UserError where the run is not
        finished.
        """
        import pandas as pd

        from gdcli.report.results import diagnoses_of

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
        """Return the parameters of a trial after its last step, and buffers, by their names.

        Runs keep none: the trial is trained again, in a process of its own, and its curve must be
        the recorded one. `trial` is an id of the summary, and may be left out where there is one
        trial alone; `trust` lets code be run that the run's folder names.

        Raises UserError for a run that is not finished and a trial that failed or diverged,
        RunError where the curve is another one.
        """
        from gdcli.api.process import weights_apart

        if trial is None:
            ids = self.summary["trial"].tolist()
            if len(ids) != 1:
                what = f"the run has {len(ids)} trials"
                raise UserError("trial", what, "give an id of summary's column trial")
            (trial,) = ids
        return weights_apart(self.path, trial, trust=trust)

    def _frame(self, table: Table) -> pd.DataFrame:
        # pandas takes half a second to import: an experiment can be made and run without it.
        import pandas as pd

        from gdcli.runs.typed import blocks, kinds_of

        run = Contents(self.path)
        dtypes = {name: _dtype(name, kind) for name, kind in kinds_of(run, table).items()}
        frames = [
            pd.DataFrame({n: pd.Series(values, dtype=dtypes[n]) for n, values in block.items()})
            for block in blocks(run, table, (), ROWS)
        ]
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        """Return where the run is and how its trials ended, or how many are there."""
        if not self.finished:
            return f"<Run {str(self.path)!r}: {state_of(self.path).unfinished}>"
        trials = self.manifest["trials"]
        ends = "".join(f", {trials[end]} {end}" for end in ("diverged", "failed") if trials[end])
        count = counted(trials["all"], "trial", "trials")
        return f"<Run {str(self.path)!r}: {count}{ends}>"


def _dtype(name: str, kind: str) -> Any:
    if kind == "whole":
        return "int64" if name in ALWAYS else "Int64"  # which has missing values
    return {"number": "float64", "text": "str"}[kind]


def load(path: str | Path, *, partial: bool = False) -> Run:
    """Return the run of a folder, or of a name in results.

    Raises UserError where there is none, its files are not what it wrote, or it is not finished,
    unless `partial` asks for the trials that are there.
    """
    folder = any_folder_of(str(path))
    if not partial and not (folder / "manifest.json").exists():
        fix = "give its command again, which goes on with it, or partial=True for what is there"
        raise UserError(show(str(path)), state_of(folder).unfinished, fix)
    Contents(folder)
    return Run(folder)
