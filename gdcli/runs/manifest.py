"""manifest.json: what was run, with what, where and when, and the checksums of the results."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gdcli.errors import RunError, UserError
from gdcli.experiment import Experiment
from gdcli.runs import atomic
from gdcli.runs.spec import read_json

FORMAT = 3
FILES = ("curves.csv", "summary.csv", "experiment.toml")
REPAIR = "run the same experiment again: what is damaged is made anew"


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
        "command": shlex.join(["gdcli", *sys.argv[1:]]),
        "git": name(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _system() -> str:
    """Return the operating system and its C library, which platform.platform() is slow to find."""
    found = [platform.system(), platform.release(), platform.machine()]
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.confstr("CS_GNU_LIBC_VERSION") or "")
    return " ".join(filter(None, found))


@contextmanager
def commit() -> Iterator[Callable[[], str | None]]:
    """Ask git for the commit of the working directory while other work goes on.

    What is yielded waits for the hash, marked if there are changes; None outside git.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        git = subprocess.Popen(  # noqa: S603 -- a fixed command
            command, stdin=null, stdout=pipe, stderr=null, text=True
        )
    except OSError:
        yield lambda: None
        return

    def name() -> str | None:
        with suppress(subprocess.TimeoutExpired):
            return git.communicate(timeout=5)[0].strip() or None
        return None

    with git:
        try:
            yield name
        finally:
            git.kill()


def write(folder: Path, content: dict[str, Any], files: Iterable[str]) -> None:
    """Write manifest.json with the size and SHA-256 of the run's files."""
    content["files"] = {name: _checksum(folder / name) for name in files}
    text = json.dumps(content, indent=2, allow_nan=False, default=str)
    atomic.write(folder / "manifest.json", [text.encode(), b"\n"])


def counts(folder: Path, spec_id: str) -> dict[str, int] | None:
    """Return the trials by status if the folder holds these results, finished and unchanged."""
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        unchanged = all(_checksum(folder / n) == held for n, held in content["files"].items())
        found: dict[str, int] = content["trials"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if unchanged and content.get("spec") == spec_id else None


def read(folder: Path) -> dict[str, Any]:
    """Return what manifest.json says.

    Raises UserError unless it is strict JSON of a run, RunError if the system does not read it.
    """
    path = folder / "manifest.json"
    try:
        content: dict[str, Any] = read_json(path.read_bytes())
        files = content["files"]
        known = set(FILES) <= set(files) and content["experiment"]["hash"]
        if known and content["fingerprint"]["device"]:
            return content
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        pass
    except OSError as error:
        raise RunError(f"{path}: it cannot be read: {error.strerror or error}") from None
    raise UserError(str(path), "it is not the manifest of a finished run", REPAIR)


def changed(folder: Path, content: Mapping[str, Any]) -> list[Path]:
    """Return the files that are not what the manifest's content says that the run wrote."""
    files = ((folder / name, held) for name, held in content["files"].items())
    return [file for file, held in files if not file.is_file() or _checksum(file) != held]


def check_files(folder: Path) -> None:
    """Raise UserError unless a run's files are what its manifest says that it wrote."""
    for file in changed(folder, read(folder)):
        raise UserError(str(file), "it is not what the run wrote", REPAIR)


def _checksum(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}
