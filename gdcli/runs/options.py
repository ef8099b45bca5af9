"""Where and how an experiment runs.

`--shard i/n`: which of the fixed batches are one process's part.

The name of a run: its folder's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from gdcli.errors import UserError
from gdcli.fields import show, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

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


FORM = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
NUMBER = re.compile(r"\d{1,18}", re.ASCII)
FIX = "give i/n, such as 1/4 to 4/4"


@dataclass(frozen=True)
class Share:
    """Every `count`-th batch, counted from `place`, which is 1 for the first."""

    place: int = 1
    count: int = 1

    def takes(self, index: int) -> bool:
        """Return whether a batch is of this share."""
        return index % self.count == self.place - 1

    def __str__(self) -> str:
        return f"{self.place}/{self.count}"


def share_of(given: str | None, environment: Mapping[str, str]) -> Share:
    """Return the share that --shard names, or a SLURM job array; else all.

    Raises UserError for what is no share.
    """
    if given is None:
        return _of_slurm(environment)
    found = FORM.fullmatch(given.strip())
    if not found:
        raise UserError("--shard", f"{show(given)} is no share of the batches", FIX)
    share = Share(int(found[1]), int(found[2]))
    if not 1 <= share.place <= share.count:
        raise UserError("--shard", f"there is no {share.place} of {share.count}", FIX)
    return share


def _of_slurm(environment: Mapping[str, str]) -> Share:
    """Return the share of a task in a job array, of whatever numbers evenly apart."""
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "STEP")]
    task, count, first, step = (environment.get(name, "") for name in names)
    if not (task and count):
        return Share()
    first, step = first or "1", step or "1"
    for name, value in zip(names, (task, count, first, step), strict=True):
        if not NUMBER.fullmatch(value):
            raise UserError(name, f"{show(value)} is no number of a job array", "give --shard")
    place, rest = divmod(int(task) - int(first), max(int(step), 1))
    if rest or not 0 <= place < int(count):
        what = f"{task} is none of {count} tasks numbered evenly from {first}"
        raise UserError(names[0], what, f"use --array=1-{count}, or give --shard")
    return Share(place + 1, int(count))


NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
LONGEST = 100


def checked_name(name: str, where: str) -> str:
    """Return a name that is safe as a folder's anywhere; raises UserError, naming `where`."""
    if len(name) > LONGEST or not NAME.fullmatch(name):
        what = f"{show(name)} cannot name a run"
        raise UserError(where, what, "take 1 to 100 of A-Z a-z 0-9 . _ -, not . or - first")
    return name
