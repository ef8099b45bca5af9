"""Reading what is there: results of many trials, a finished run asked again, trials reused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.command import run
from benchmarks.whole_process import results

if TYPE_CHECKING:
    from benchmarks.result import Result

PYTHON = (
    "import csv, sys; print(sum(len(row) for f in sys.argv[1:] for row in csv.reader(open(f))))"
)
SHOW, REPORT = 5.0, 10.0  # seconds
MANY = 100_000  # trials, of which the limits are


def shown(trials: int, repeats: int) -> list[Result]:
    """Return the times of show and report on so many trials, beside Python's csv module alone."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        grid = (f"--lr=log:1e-4:0.1:{trials // 100}", "--seed=0:99", "--epochs=10", "--spread=1")
        run((*_run("quadratic", "many"), *grid), place)
        files = [f"{{out}}/many/{name}.csv" for name in ("curves", "summary")]
        commands = {
            "show": ("-m", "gdcli", "show", "{out}/many"),
            "report": ("-m", "gdcli", "report", "{out}/many", "--output={out}/page.html"),
            "csv module": ("-c", PYTHON, *files),
        }
        times = _times(commands, place, repeats)
    limits = {"show": SHOW, "report": REPORT} if trials >= MANY else {}
    return results("reading", f"{trials} trials are shown", times, limits=limits)


def asked_again(megabytes: int, repeats: int) -> list[Result]:
    """Return the time of a run of a large CSV file in parts, and of the same command again."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        _write(place / "big.csv", megabytes)
        given = ("--data={out}/big.csv", "--target=y", "--stream", "--epochs=2", "--lr=0.1")
        command = (*_run("linear-regression", "big"), *given)
        first = run(command, place).seconds
        times = _times({"again": command}, place, repeats)
    return results("reading", f"a CSV file of {megabytes} MB", {**times, "first": [first]})


def reused(repeats: int) -> list[Result]:
    """Return the times of a grid computed, and taken from runs that hold it and much besides."""
    times: dict[str, list[float]] = {"reused": [], "computed": []}
    with TemporaryDirectory() as folder:
        place = Path(folder)
        rates = "--lr=log:1e-4:0.1:500"
        run((*_run("quadratic", "held"), rates, "--seed=0:9"), place)
        asked = (rates, "--seed=5:9", "--overwrite")
        reuse = (*_run("quadratic", "new"), *asked, "--reuse={out}/held")
        for _ in range(repeats):
            times["reused"].append(run(reuse, place).seconds)
            times["computed"].append(run((*_run("quadratic", "new"), *asked), place).seconds)
    return results("reading", "half of 5000 trials again", times, goals={"computed": 1.0})


def _run(problem: str, name: str) -> tuple[str, ...]:
    return ("-m", "gdcli", "run", problem, "--output={out}", f"--name={name}", "--quiet")


def _times(
    commands: dict[str, tuple[str, ...]], folder: Path, repeats: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            times[name].append(run(command, folder).seconds)
    return times


def _write(file: Path, megabytes: int) -> None:
    """Write rows of 20 features and a target, the same few over and over."""
    values = np.random.default_rng(0).standard_normal((1000, 21)).round(6)
    part = "".join(",".join(map(repr, row)) + "\n" for row in values.tolist())
    with file.open("w", encoding="ascii") as stream:
        stream.write(",".join([*(f"x{i}" for i in range(20)), "y"]) + "\n")
        for _ in range(megabytes * 10**6 // len(part)):
            stream.write(part)
