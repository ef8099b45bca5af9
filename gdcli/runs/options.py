"""Where and how an experiment runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from gdcli.errors import UserError
from gdcli.fields import show, suggestion

COUNTED = ("failed", "diverged")  # by a run itself, before its tables are written, too


@dataclass(frozen=True)
class RunOptions:
    """The options of `run` and `sweep` that are not the experiment's own."""

    output: Annotated[Path, "folder that the run's own folder is made in"] = Path("results")
    name: Annotated[str | None, "the run's folder in --output"] = None
    resume: Annotated[bool, "continue an unfinished run (always done)"] = False
    overwrite: Annotated[bool, "start again where results lie already"] = False
    retry_failed: Annotated[bool, "run the trials again that failed, and only those"] = False
    executor: Annotated[
        Literal["local", "ray"], "where the batches are computed: here, or on a cluster"
    ] = "local"
    ray_address: Annotated[
        str | None, "HOST:PORT of the cluster; RAY_ADDRESS, or the one this machine is in"
    ] = None
    workers: Annotated[int | None, "local processes; the cores, where it pays", Ge(1)] = None
    shard: Annotated[
        str | None, "this process's part of the batches, i/n; SLURM's job array says it, too"
    ] = None
    reuse: Annotated[tuple[str, ...], "runs that hold some of the trials, to copy these from"] = ()
    trust: Annotated[bool, "run code that the runs of --reuse name, too"] = False
    device: Annotated[str, "auto, cpu, cuda or cuda:i"] = "auto"
    engine: Annotated[
        Literal["auto", "reference"], "stacked trials, or one by one by plain autograd, slowly"
    ] = "auto"
    memory: Annotated[str | None, "memory to use, such as 4GB (default: half of what is free)"] = (
        None
    )
    fail_on: Annotated[
        tuple[str, ...],
        "what makes the exit code 1 where a trial has it: failed, diverged, or a state or quality "
        "such as still-falling or chance-level; none: nothing does",
    ] = ("failed",)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself; raises UserError."""
        for name in ("resume", "retry_failed"):
            if self.overwrite and getattr(self, name):
                what = f"--{name.replace('_', '-')} goes on with what is there"
                raise UserError("--overwrite", what, "leave one of them out")
        _check_words(self.fail_on)
        if "none" in self.fail_on and len(self.fail_on) > 1:
            raise UserError("--fail-on", "none leaves nothing to list", "give none alone")
        if self.executor == "ray" and self.workers:
            fix = "leave it out: the cluster's CPUs count"
            raise UserError("--workers", "it counts local processes, and --executor is ray", fix)
        if self.executor != "ray" and self.ray_address:
            raise UserError("--ray-address", "the batches are computed here", "add --executor ray")


def _check_words(words: tuple[str, ...]) -> None:
    """Raise UserError for a word of --fail-on that means nothing."""
    if set(words) <= {*COUNTED, "none"}:
        return
    known = (*COUNTED, *diagnosed(), "none")
    for word in words:
        if word not in known:
            fix = suggestion(word, known) or f"give some of {', '.join(known)}"
            raise UserError("--fail-on", f"{show(word)} is not a state or quality", fix)


def diagnosed() -> dict[str, str]:
    """Return the words of --fail-on that a diagnosis says, and what they are there."""
    from gdcli.analysis.diagnosis.verdicts import QUALITIES, STATES

    return {one.word.replace(" ", "-"): one.word for one in (*STATES, *QUALITIES)}
