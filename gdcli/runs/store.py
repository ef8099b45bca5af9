"""A run's folder while it is worked on: one checksummed shard for each finished batch.

Validity is a checksum, never a marker: a shard that is missing, cut short, changed or of another
experiment is simply not there, and its batch is computed again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdcli.errors import UserError
from gdcli.runs import atomic

WRITTEN = ("curves.csv", "summary.csv", "timings.csv", "experiment.toml", "manifest.json")


@dataclass(frozen=True)
class Shard:
    """What a batch came to: lines of the two tables, and how it went."""

    curves: bytes
    summary: bytes
    seconds: float
    failed: int
    diverged: int
    path: str = ""  # which way the engine computed it; none if every trial failed


class Store:
    """The shards of one experiment in one folder."""

    def __init__(self, folder: Path, spec: Mapping[str, Any]) -> None:
        """Take the run's folder, which need not be there, and what its numbers depend on.

        The spec's `settings` only say it in words: the same trials can be said in several ways.
        """
        self.folder = folder
        self.spec = spec
        self.text = _json(spec)
        self.id = hashlib.sha256(_json(_identity(spec))).hexdigest()[:16]
        self.shards = folder / ".gdcli" / "shards"

    def open(self, *, overwrite: bool) -> None:
        """Make the folder, or take up what lies there.

        Raises UserError when the folder holds something else, unless `overwrite`.
        """
        file = self.folder / ".gdcli" / "spec.json"
        if self.folder.is_symlink() and not self.folder.exists():
            what = f"{self.folder} is a link to nothing"
            raise UserError("--output", what, "give another --name or --output")
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(
                "--output", f"{self.folder} is a file", "give another --name or --output"
            )
        if overwrite and self._is_run():
            self._remove()
        # A process that was killed early leaves .gdcli without its spec.
        elif not file.exists() and any(e.name != ".gdcli" for e in _entries(self.folder)):
            what = f"{self.folder} is not empty and holds no run"
            raise UserError("--name", what, "give another --name or --output")
        self.shards.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            atomic.write(file, [self.text])
        held = _read_json(file.read_bytes())
        if not isinstance(held, dict) or _identity(held) != _identity(json.loads(self.text)):
            keys = ", ".join(_differences(held if isinstance(held, dict) else {}, self.spec))
            what = f"{self.folder} holds another run, which differs in {keys}"
            raise UserError("--name", what, "give another --name, or --overwrite to start again")

    def _is_run(self) -> bool:
        return any((self.folder / name).exists() for name in (".gdcli", "manifest.json"))

    def _remove(self) -> None:
        """Remove what a run wrote; other files in its folder are the user's."""
        if (self.folder / ".gdcli").is_dir():
            shutil.rmtree(self.folder / ".gdcli")
        for name in WRITTEN:
            (self.folder / name).unlink(missing_ok=True)

    def save(self, index: int, shard: Shard) -> None:
        """Keep a batch's shard."""
        body = shard.curves + shard.summary
        head = {
            "spec": self.id,
            "batch": index,
            "curves": len(shard.curves),
            "summary": len(shard.summary),
            "seconds": shard.seconds,
            "failed": shard.failed,
            "diverged": shard.diverged,
            "path": shard.path,
        }
        head["sha256"] = hashlib.sha256(_json(head) + body).hexdigest()
        atomic.write(self._file(index), [_json(head), body])

    def load(self, index: int) -> Shard | None:
        """Return a batch's shard, None unless it is there and whole."""
        try:
            line, _, body = self._file(index).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        head = _read_json(line)
        if not isinstance(head, dict) or (head.get("spec"), head.get("batch")) != (self.id, index):
            return None
        given = head.pop("sha256", None)
        if given != hashlib.sha256(_json(head) + body).hexdigest():
            return None
        cut = head["curves"]
        names = ("seconds", "failed", "diverged", "path")
        return Shard(body[:cut], body[cut:], *(head[name] for name in names))

    def _file(self, index: int) -> Path:
        return self.shards / f"{index:06d}"

    def clear_temporaries(self) -> None:
        """Remove what a killed process left half written."""
        for folder in (self.folder, self.folder / ".gdcli", self.shards):
            for file in folder.glob(f"{atomic.TEMPORARY}*"):
                file.unlink(missing_ok=True)


def _identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "settings"}


def _differences(held: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ; if none does, whatever else does."""
    keys = list(differing(held, spec))
    return [key for key in keys if key.startswith("settings.")] or keys


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _json(value: Mapping[str, Any]) -> bytes:
    """Return one line of canonical, strict JSON."""
    return json.dumps(value, sort_keys=True, allow_nan=False, default=str).encode() + b"\n"


def _read_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def differing(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the keys at which two nested mappings differ, in order, as "grid.lr"."""
    for key in sorted({*a, *b}):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from differing(left, right, f"{prefix}{key}.")
        elif json.dumps(left, default=str) != json.dumps(right, default=str):
            yield prefix + key
