"""What the page draws of networks of a few bits: the score against the bits of a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdcli.analysis.best import OPTIONS, quantization_rows
from gdcli.report.page.content import plain
from gdcli.report.page.run_page import Content, PageRun, PageView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdcli.runs.csv_read import Value

FLOAT_BITS = 32  # of a weight that is not rounded
MEASURED = ("lr", "drop", "float_bytes", "bytes")


TEXT = (
    "The weights are rounded to a few bits after training (ptq) or while training (qat). Scores "
    "are medians over the seeds at the best learning rate. drop: the score before rounding minus "
    "the score after it. bytes: the weights in the given bits, one scale for each output, and the "
    "other parameters."
)


class QuantizationSection(PageView):
    """What rounding a network to a few bits costs."""

    name = "quantization"
    title = "Quantization"
    order = 50

    def content(self, run: PageRun) -> Content | None:
        """Return a row for each way of rounding, and the chart, where networks are rounded."""
        if run.theory is None:
            return None
        rows = quantization_rows(run.source.run, run.source.settings, run.theory)
        if not rows:
            return None
        return Content(
            text=[TEXT],
            rows=rows,
            table="What rounding costs",
            figure="The picture in numbers",
            data=quantization_content(rows),
        )


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
