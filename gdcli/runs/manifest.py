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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gdcli.errors import UserError
from gdcli.experiment import Experiment
from gdcli.runs import atomic

FORMAT = 1


def manifest(
    experiment: Experiment,
    spec_id: str,
    spec: Mapping[str, Any],
    counts: Mapping[str, int],
    paths: Mapping[str, list[str]],
) -> dict[str, Any]:
    """Return what manifest.json says, but for the files' checksums.

    `spec` identifies the numbers, by what they depend on; `counts` holds the trials by status,
    `paths` which ways the trials of each cohort were computed.
    """
    return {
        "format": FORMAT,
        "spec": spec_id,
        "experiment": {
            "problem": experiment.problem,
            "hash": experiment.hash,
            "varied": list(experiment.varied),
            "settings": experiment.tables(),
        },
        "trials": dict(counts),
        "engine": {"asked": spec["engine"], "paths": dict(paths)},
        "data": spec["data"],
        "fingerprint": spec["fingerprint"],
        "host": platform.node(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "command": shlex.join(["gdcli", *sys.argv[1:]]),
        "equivalent": shlex.join(["gdcli", *experiment.command()]),
        "git": _git(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _git() -> str | None:
    """Return the commit of the working directory, marked if it has changes; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603 -- a fixed command
            command, capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


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


def check_files(folder: Path) -> None:
    """Raise UserError unless a run's files are what its manifest says that it wrote."""
    fix = "run the same experiment again: what is damaged is made anew"
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        held = dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        where = str(folder / "manifest.json")
        raise UserError(where, "it is not the manifest of a finished run", fix) from None
    for name, checksum in held.items():
        file = folder / name
        if not file.is_file() or _checksum(file) != checksum:
            raise UserError(str(file), "it is not what the run wrote", fix)


def _checksum(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}
