"""Where and how an experiment runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


@dataclass(frozen=True)
class RunOptions:
    """The options of `run` and `sweep` that are not the experiment's own."""

    output: Annotated[Path, "folder that the run's own folder is made in"] = Path("results")
    name: Annotated[str | None, "the run's folder; the problem's name and a hash"] = None
    overwrite: Annotated[bool, "start again where results lie already"] = False
    reuse: Annotated[tuple[str, ...], "runs that hold some of the trials, to copy these from"] = ()
    device: Annotated[str, "auto, cpu, cuda or cuda:i"] = "auto"
    memory: Annotated[str | None, "what may be used, such as 4GB; half of what is free"] = None
    fail_on: Annotated[
        Literal["failed", "diverged", "none"], "verdicts that make the exit code 1"
    ] = "failed"
