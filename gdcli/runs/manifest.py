"""manifest.json: what was run, with what, where and when, and the checksums of the results."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict

from gdcli import door
from gdcli.door import REPAIR
from gdcli.errors import RunError, UserError
from gdcli.experiment import toml
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.runs import atomic
from gdcli.runs.commit import commit
from gdcli.runs.spec import FORMAT, SHOWN, check_format

FILES = ("curves.csv", "summary.csv", "experiment.toml")


class Checksum(TypedDict):
    """What a file held when it was written."""

    bytes: Annotated[int, lambda size: size >= 0]
    sha256: str


Files = TypedDict(
    "Files", {"curves.csv": Checksum, "summary.csv": Checksum, "experiment.toml": Checksum}
)


class Settings(TypedDict):
    """An experiment as it was given."""

    problem: dict[str, Any]
    grid: dict[str, Any]
    vary: dict[str, Any]


class Ran(TypedDict):
    """Which experiment was run."""

    problem: str
    hash: str
    varied: NotRequired[list[str]]
    settings: Settings


Count: TypeAlias = Annotated[int, lambda count: 0 <= count <= MOST_TRIALS]


class Ended(TypedDict):
    """The trials by how they ended."""

    all: Count
    failed: Count
    diverged: Count


class Engine(TypedDict):
    """How the trials were computed."""

    asked: Literal["auto", "reference"]
    paths: NotRequired[dict[str, list[str]]]


class Surroundings(TypedDict):
    """The fingerprint, of which more is compared than is read."""

    device: str


class Manifest(TypedDict):
    """What manifest.json holds of a finished run."""

    format: int
    spec: NotRequired[str]
    experiment: Ran
    trials: NotRequired[Ended]
    engine: NotRequired[Engine]
    data: NotRequired[dict[str, str]]
    code: NotRequired[dict[str, str]]
    fingerprint: Surroundings
    equivalent: NotRequired[str]
    finished: NotRequired[str]
    host: NotRequired[str]
    system: NotRequired[str]
    cores: NotRequired[int | None]
    command: NotRequired[str]
    git: NotRequired[str | None]
    theory: NotRequired[list[dict[str, Any]]]
    files: Files


def manifest(
    experiment: Experiment,
    spec_id: str,
    spec: Mapping[str, Any],
    counts: Mapping[str, int],
    paths: Mapping[str, list[str]],
) -> dict[str, Any]:
    """Return what manifest.json says, but for the circumstances and the files' checksums.

    `spec` identifies the numbers, by what they depend on; `counts` holds the trials by status,
    `paths` which ways the trials of each cohort were computed.
    """
    return {
        "format": FORMAT,
        "spec": spec_id,
        "experiment": {
            "problem": experiment.name,
            "hash": experiment.hash,
            "varied": list(experiment.varied),
            "settings": experiment.tables(),
        },
        "trials": dict(counts),
        "engine": {"asked": spec["engine"], "paths": dict(paths)},
        "data": spec["data"],
        **({"code": spec["code"]} if "code" in spec else {}),
        "fingerprint": spec["fingerprint"],
        "equivalent": shlex.join(["gdcli", *experiment.command()]),
    }


def circumstances() -> dict[str, Any]:
    """Return by what command results were made, where, from which commit, and when."""
    with commit() as name:
        return made_at(name)


def made_at(name: Callable[[], str | None]) -> dict[str, Any]:
    """Return the same, given what tells the commit."""
    return {
        "host": platform.node(),
        "system": _system(),
        "cores": os.cpu_count(),
        "command": command(),
        "git": name(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def command() -> str:
    """Return the command line of this process; a path in it need not be UTF-8."""
    return shlex.join(["gdcli", *sys.argv[1:]]).encode(errors="backslashreplace").decode()


def _system() -> str:
    """Return the operating system and its C library, which platform.platform() is slow to find."""
    found = [platform.system(), platform.release(), platform.machine()]
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.confstr("CS_GNU_LIBC_VERSION") or "")
    return " ".join(filter(None, found))


def write(folder: Path, content: dict[str, Any], files: Iterable[str]) -> None:
    """Write manifest.json with the size and SHA-256 of the run's files."""
    content["files"] = {name: _checksum(folder / name) for name in files}
    text = json.dumps(content, indent=2, allow_nan=False, default=str)
    atomic.write(folder / "manifest.json", [text.encode(), b"\n"])


def counts(folder: Path, spec_id: str) -> dict[str, int] | None:
    """Return the trials by status if the folder holds these results, finished and unchanged."""
    try:
        content = read(folder)
    except UserError:
        return None
    if content.get("spec") != spec_id or changed(folder, content):
        return None
    found: dict[str, int] | None = content.get("trials")
    return found


def read(folder: Path) -> dict[str, Any]:
    """Return what manifest.json says.

    Raises UserError unless it is that of a finished run, RunError if the system does not read it.
    """
    file = folder / "manifest.json"
    try:
        content: dict[str, Any] | None = door.json_of(file, Manifest)
    except (FileNotFoundError, NotADirectoryError):
        content = None
    except OSError as error:
        raise RunError(f"{file}: it cannot be read: {error.strerror or error}") from None
    if content is None:
        raise UserError(str(file), "it is not the manifest of a finished run", REPAIR)
    check_format(file, content["format"], SHOWN)
    return content


def experiment_of(folder: Path, content: Mapping[str, Any], *, trust: bool) -> Experiment:
    """Return the experiment of a finished run; raises UserError where its file does not say it.

    Code of the user's own is not run for it unless `trust` is, and the file is what it was.
    """
    file = folder / "experiment.toml"
    return toml.load_of_run(file, content.get("code", {}), trust=trust)


def changed(folder: Path, content: Mapping[str, Any]) -> list[Path]:
    """Return the files that are not what the manifest's content says that the run wrote."""
    return [folder / name for name in FILES if not _holds(folder / name, content["files"][name])]


def _holds(file: Path, held: Mapping[str, Any]) -> bool:
    """Return whether a file is plain, of a size and of a checksum."""
    digest = hashlib.sha256()
    try:
        with door.opened(file) as stream:
            if os.fstat(stream.fileno()).st_size != held["bytes"]:
                return False
            if file.suffix == ".csv":
                for block in door.blocks(stream, held["bytes"]):
                    digest.update(block)
            else:  # of an axis a line may be long
                digest.update(stream.read(door.MOST_JSON))
    except (UserError, FileNotFoundError):
        return False
    found: bool = digest.hexdigest() == held["sha256"]
    return found


def check_files(folder: Path) -> None:
    """Raise UserError unless a run's files are what its manifest says that it wrote."""
    for file in changed(folder, read(folder)):
        raise UserError(str(file), "it is not what the run wrote", REPAIR)


def _checksum(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}
