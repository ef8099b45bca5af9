"""A fault at every guarded call in turn; then the same command again, and the bytes compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gdcli.runs.folder import state_of
from tests.faults.child import Ended, run
from tests.faults.inject import MODES
from tests.runs.command import SMALL, leftovers, tables

ALONE = (*SMALL, "--workers", "1")
OTHER = (*ALONE, "--seed", "1")
Prepare = Callable[[Path], None]


@dataclass
class Counts:
    """What became of the faults of one mode."""

    faults: int = 0
    identical: int = 0  # bytes, after the rerun
    leftovers: int = 0
    wrong: list[str] = field(default_factory=list)  # exit codes, messages, mixtures

    def sound(self) -> bool:
        """Return whether all went as it must."""
        return self.identical == self.faults > 0 and not self.leftovers and not self.wrong


def _nothing(_: Path) -> None:
    return


def _another_run(folder: Path) -> None:
    run(folder, OTHER)


def _unfinished(folder: Path) -> None:
    run(folder, ALONE)
    (folder / "results/run/manifest.json").unlink()
    (folder / "results/run/.gdcli/shards/000002").unlink()
    (folder / "results/run/.gdcli/shards/.tmp-4194305-a").write_bytes(b"half")


# What is there before, and the command that meets the fault and is then given again.
SCENES: dict[str, tuple[Prepare, tuple[str, ...]]] = {
    "a new run": (_nothing, ALONE),
    "a run that goes on": (_unfinished, ALONE),
    "--overwrite of another run": (_another_run, (*ALONE, "--overwrite")),
}


def every_call(folder: Path, scene: str, every: int) -> dict[str, Counts]:
    """Return the counts of each mode, with a fault at every so manieth call of a scene."""
    prepare, command = SCENES[scene]
    wanted, calls = _reference(folder, prepare, command)
    found = {mode: Counts() for mode in MODES}
    for shift, (mode, counts) in enumerate(found.items()):
        for place in range(1 + shift % every, calls + 1, every):
            _fresh(folder, prepare)
            ended = run(folder, command, mode, place)
            counts.wrong += _wrong(folder, ended, mode, f"{mode} at {place}", wanted)
            again = run(folder, command)
            counts.faults += 1
            same = again.code == 0 and tables(folder / "results/run") == wanted[-1]
            counts.identical += same
            counts.leftovers += len(leftovers(folder))
    return found


def _reference(
    folder: Path, prepare: Prepare, command: tuple[str, ...]
) -> tuple[list[list[bytes]], int]:
    """Return the tables that may be there, those wanted last, and the number of calls."""
    _fresh(folder, prepare)
    there = (folder / "results/run/manifest.json").exists()
    before = [tables(folder / "results/run")] if there else []
    ended = run(folder, command)
    if ended.code != 0:
        raise RuntimeError(f"without a fault it ended with {ended}")
    return [*before, tables(folder / "results/run")], ended.calls


def _fresh(folder: Path, prepare: Prepare) -> None:
    shutil.rmtree(folder / "results", ignore_errors=True)
    prepare(folder)


def _wrong(
    folder: Path, ended: Ended, mode: str, what: str, wanted: list[list[bytes]]
) -> list[str]:
    """Return what a faulty run did that it must not: a wrong end, or a mixture called complete."""
    results, wrong = folder / "results/run", []
    errors = [line for line in ended.errors if line.startswith("error: ")]
    if mode in ("kill", "torn"):
        right = ended.code == -9
    else:
        # Some failures are of no account: nothing to tell, and all must be there.
        right = (ended.code, len(errors)) in ((1, 1), (0, 0)) and "internal" not in str(errors)
    if not right:
        wrong.append(f"{what}: {ended}")
    # What was there before may be there still, unless the run says that it is through.
    allowed = wanted[-1:] if ended.code == 0 else wanted
    complete = results.exists() and state_of(results).word == "complete"
    if (complete or ended.code == 0) and tables(results) not in allowed:
        wrong.append(f"{what}: a mixture is called complete")
    return wrong
