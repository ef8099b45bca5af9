"""Where and how an experiment runs: the options, the part of `--shard`, the name of a run.

And what reports how far a run has come while it is computed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeAlias

from annotated_types import Ge

from gdcli.errors import UserError
from gdcli.fields import OneOf, show, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

DeviceName: TypeAlias = Annotated[
    str,
    "where to compute: auto, cpu, cuda or one GPU, such as cuda:1; auto takes a GPU for "
    "networks, if there is one",
]
Memory: TypeAlias = Annotated[
    str | None, "memory to use, such as 4GB (default: half of the free memory)"
]
COUNTED = ("failed", "diverged")  # by a run itself, before its tables are written, too
FOR_EXECUTORS = ("workers", "ray_address")  # options that only some executors read
EXECUTOR = re.compile(r"^class \w+\(.*\bExecutor\b", re.MULTILINE)


def executor_names() -> tuple[str, ...]:
    """Return the names of the executors: of the files in executors/ that define one."""
    files = sorted((Path(__file__).parents[1] / "executors").glob("[!_]*.py"))
    texts = {file.stem.replace("_", "-"): file.read_text(encoding="utf-8") for file in files}
    return tuple(name for name, text in texts.items() if EXECUTOR.search(text))


@dataclass(frozen=True)
class RunOptions:
    """The options of `run` and `sweep` that are not the experiment's own."""

    output: Annotated[Path, "folder in which the run's own folder is made"] = Path("results")
    name: Annotated[str | None, "name of the run's folder in --output"] = None
    resume: Annotated[bool, "(default) continue an unfinished run"] = False
    overwrite: Annotated[bool, "start again where results exist, and replace them"] = False
    retry_failed: Annotated[bool, "run only the failed trials again"] = False
    executor: Annotated[str, "where the batches of trials are computed", OneOf(executor_names)] = (
        "local"
    )
    ray_address: Annotated[
        str | None,
        "HOST:PORT of a Ray cluster; by default RAY_ADDRESS, else this machine's cluster",
    ] = None
    workers: Annotated[
        int | None, "worker processes; by default up to one for each core, if they save time", Ge(1)
    ] = None
    shard: Annotated[
        str | None,
        "i/n: compute part i of n of the batches; by default all, or a SLURM array task's part",
    ] = None
    reuse: Annotated[tuple[str, ...], "runs to copy trials from instead of computing them"] = ()
    trust: Annotated[bool, "allow --reuse to execute code that its runs name"] = False
    device: DeviceName = "auto"
    engine: Annotated[
        Literal["auto", "reference"],
        "auto trains many trials side by side; reference trains one after another in plain "
        "PyTorch, slowly, as a check",
    ] = "auto"
    memory: Memory = None
    fail_on: Annotated[
        tuple[str, ...],
        "exit with code 1 if a trial ends like this: failed, diverged, or a state or quality "
        "that show --view why prints, such as still-falling or chance-level; none: never",
    ] = ("failed",)

    def __post_init__(self) -> None:
        """Raise UserError for options that contradict each other."""
        for name in ("resume", "retry_failed"):
            if self.overwrite and getattr(self, name):
                what = f"--{name.replace('_', '-')} keeps results that --overwrite deletes"
                raise UserError("--overwrite", what, "leave one of them out")
        _check_words(self.fail_on)
        if "none" in self.fail_on and len(self.fail_on) > 1:
            what = "none stands beside other outcomes"
            raise UserError("--fail-on", what, "give none alone, or leave it out")


def _check_words(words: tuple[str, ...]) -> None:
    """Raise UserError for a word of --fail-on that is not known."""
    if set(words) <= {*COUNTED, "none"}:
        return
    known = fail_on_words()
    for word in words:
        if word not in known:
            fix = suggestion(word, known) or f"give some of {', '.join(known)}"
            raise UserError("--fail-on", f"{show(word)} is not a state or quality", fix)


def fail_on_words() -> tuple[str, ...]:
    """Return all words that --fail-on takes."""
    return (*COUNTED, *diagnosed(), "none")


def diagnosed() -> dict[str, str]:
    """Return the words of --fail-on that a diagnosis says, and what they are there."""
    from gdcli.analysis.diagnosis.verdict import qualities, states  # start-up: most runs need none

    return {word.replace(" ", "-"): word for word in (*states(), *qualities())}


FORM = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
NUMBER = re.compile(r"\d{1,18}", re.ASCII)
FIX = "give i/n, such as 1/4 to 4/4"


@dataclass(frozen=True)
class Partition:
    """Every `count`-th batch, from the `place`-th on, counted from 1."""

    place: int = 1
    count: int = 1

    def takes(self, index: int) -> bool:
        """Return whether a batch belongs to this part."""
        return index % self.count == self.place - 1

    def __str__(self) -> str:
        return f"{self.place}/{self.count}"


def partition_of(given: str | None, environment: Mapping[str, str]) -> Partition:
    """Return the part of the batches that --shard names, or a task of a SLURM array; else all.

    Raises UserError for other text.
    """
    if given is None:
        return _of_slurm(environment)
    found = FORM.fullmatch(given.strip())
    if not found:
        raise UserError("--shard", f"{show(given)} is not a part of the batches", FIX)
    part = Partition(int(found[1]), int(found[2]))
    if not 1 <= part.place <= part.count:
        raise UserError("--shard", f"there is no part {part.place} of {part.count}", FIX)
    return part


def _of_slurm(environment: Mapping[str, str]) -> Partition:
    """Return the part of a task in a job array, whose numbers must be evenly apart."""
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "STEP")]
    task, count, first, step = (environment.get(name, "") for name in names)
    if not (task and count):
        return Partition()
    first, step = first or "1", step or "1"
    for name, value in zip(names, (task, count, first, step), strict=True):
        if not NUMBER.fullmatch(value):
            raise UserError(name, f"{show(value)} is not a number of a job array", "give --shard")
    place, rest = divmod(int(task) - int(first), max(int(step), 1))
    if rest or not 0 <= place < int(count):
        what = f"task {task} is not one of {count} tasks numbered evenly from {first}"
        raise UserError(names[0], what, f"use --array=1-{count}, or give --shard")
    return Partition(place + 1, int(count))


NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
LONGEST = 100


def checked_name(name: str, where: str) -> str:
    """Return a name that is safe as a folder's anywhere; raises UserError, naming `where`."""
    if len(name) > LONGEST or not NAME.fullmatch(name):
        what = f"{show(name)} cannot name a run"
        raise UserError(where, what, "take 1 to 100 of A-Z a-z 0-9 . _ -, not . or - first")
    return name


class Progress(Protocol):
    """Receives every piece of work as it is done, and shows what it likes."""

    def start(self, total: int) -> None:
        """Begin: `total` trial-steps are to be done."""

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Add trial-steps done by the trials named `label`; `loss` is their lowest loss."""

    def note(self, line: str) -> None:
        """Show a note, such as that the run waits for another process."""

    def warn(self, line: str) -> None:
        """Show what went wrong without ending the run, such as a trial that failed."""

    def stop(self) -> None:
        """End, whether the work is done or not."""


class Silent:
    """Shows nothing."""

    def start(self, total: int) -> None:
        """Show nothing."""

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Show nothing."""

    def note(self, line: str) -> None:
        """Show nothing."""

    def warn(self, line: str) -> None:
        """Show nothing."""

    def stop(self) -> None:
        """Show nothing."""
