"""What the page draws of networks of a few bits: the score against the bits of a weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gdcli.analysis.best import OPTIONS
from gdcli.report.page.content import plain
from gdcli.runs.csv_read import Value

FLOAT_BITS = 32  # of a weight that is not rounded
MEASURED = ("lr", "drop", "float_bytes", "bytes")


def quantization_content(rows: Sequence[Mapping[str, Value]]) -> dict[str, Any]:
    """Return a point a row that has a score, and the name of the score."""
    score = next(name for name in rows[0] if name.startswith("quantized_"))
    whole = score.replace("quantized", "float", 1)
    names = [name for name in rows[0] if name not in (*OPTIONS[:3], *MEASURED, score, whole)]
    several = [name for name in names if len({row[name] for row in rows}) > 1]
    points = [
        {
            "how": row["quantize"],
            "bits": FLOAT_BITS if row["weight_bits"] is None else row["weight_bits"],
            "activation_bits": row["activation_bits"],
            "name": " ".join(f"{name} {row[name]}" for name in several),
            "score": plain(value),
            "bytes": row["bytes"],
        }
        for row in rows
        if isinstance(value := row[whole if row["quantize"] == "none" else score], float)
    ]
    return {"score": score.partition("_")[2].replace("_", " "), "points": points}
