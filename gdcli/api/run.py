"""Runs an experiment from Python, with the bytes that the command line would write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.api.process import execute_apart
from gdcli.api.results import Run, load
from gdcli.experiment.axis import one
from gdcli.fields import options_of
from gdcli.runs.options import RunOptions
from gdcli.runs.run_name import checked_name

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment


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

    The arguments mean what the options of the same names do: a run that is there already is not
    run again, an interrupted one is gone on with. The trials are trained in processes of their
    own, whatever this one has loaded. An interrupt lets the batches in hand be finished, a second
    one ends at once; what is finished is kept.

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
