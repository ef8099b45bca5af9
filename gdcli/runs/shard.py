"""What a batch came to, as one file that vouches for itself."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from gdcli.runs.spec import line, read_json


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


def unpacked(content: bytes, spec_id: str, index: int) -> Shard | None:
    """Return the shard of a batch's file, None unless it is whole and this batch's."""
    text, _, body = content.partition(b"\n")
    head = read_json(text)
    if not isinstance(head, dict) or (head.get("spec"), head.get("batch")) != (spec_id, index):
        return None
    given = head.pop("sha256", None)
    if given != hashlib.sha256(line(head) + body).hexdigest():
        return None
    cut = head["curves"]
    names = ("seconds", "failed", "diverged", "path")
    return Shard(body[:cut], body[cut:], *(head[name] for name in names))
