"""What a batch came to, as one file that vouches for itself."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, NamedTuple, TypedDict

from gdcli import door
from gdcli.errors import UserError
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.runs.spec import line


class Head(TypedDict):
    """The first line of a batch's file."""

    spec: str
    batch: int
    curves: Annotated[int, lambda length: length >= 0]
    summary: Annotated[int, lambda length: length >= 0]
    seconds: float
    failed: Annotated[int, lambda count: 0 <= count <= MOST_TRIALS]
    diverged: Annotated[int, lambda count: 0 <= count <= MOST_TRIALS]
    path: str
    sha256: str


class Shard(NamedTuple):
    """What a batch came to: lines of the two tables, and how it went."""

    curves: bytes
    summary: bytes
    seconds: float
    failed: int
    diverged: int
    path: str = ""  # which way the engine computed it; none if every trial failed


def packed(shard: Shard, spec_id: str, index: int) -> list[bytes]:
    """Return the content of a batch's file: a line of JSON with a checksum, then the tables."""
    body = shard.curves + shard.summary
    head = {
        "spec": spec_id,
        "batch": index,
        "curves": len(shard.curves),
        "summary": len(shard.summary),
        "seconds": shard.seconds,
        "failed": shard.failed,
        "diverged": shard.diverged,
        "path": shard.path,
    }
    head["sha256"] = hashlib.sha256(line(head) + body).hexdigest()
    return [line(head), body]


def read(file: Path, spec_id: str, index: int) -> Shard | None:
    """Return the shard of a batch's file, None unless it is there, whole and this batch's.

    What is no table is given up at its first line, however large it is. Raises OSError.
    """
    try:
        with door.opened(file) as stream:
            first = stream.readline(door.LONGEST_LINE)
            head = door.strict_json(first)
            if not door.fits(head, Head) or (head["spec"], head["batch"]) != (spec_id, index):
                return None
            lengths = [head["curves"], head["summary"]]
            if os.fstat(stream.fileno()).st_size != len(first) + sum(lengths):
                return None
            curves, summary = (b"".join(door.blocks(stream, length)) for length in lengths)
    except (UserError, FileNotFoundError, IsADirectoryError):
        return None
    given, digest = head.pop("sha256"), hashlib.sha256(line(head))
    digest.update(curves)
    digest.update(summary)
    if digest.hexdigest() != given or summary.count(b"\n") > MOST_TRIALS:
        return None
    return Shard(
        curves, summary, *(head[name] for name in ("seconds", "failed", "diverged", "path"))
    )
