"""Pages of runs made by hand, for tests that read them or open them in a browser."""

from __future__ import annotations

import json
from base64 import b64decode
from math import inf, nan
from typing import TYPE_CHECKING, Any

from gdcli.report.page.run_page import page_bytes
from tests.run_folders import CURVATURES, EXAMPLES, Made, write_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANIFEST = {
    "format": 3,
    "experiment": {
        "problem": "quadratic",
        "hash": "0a",
        "settings": {"problem": {}, "grid": {}, "vary": {}},
    },
    "fingerprint": {"numpy": "2.4.6", "simd": ["X86_V3"], "device": "cpu"},
    "files": {
        name: {"bytes": 0, "sha256": ""}
        for name in ("curves.csv", "summary.csv", "experiment.toml")
    },
    "equivalent": "gdcli run quadratic --lr=0.1",
    "host": "here",
}
EXPERIMENT = '[problem]\nname = "quadratic"\n'
# What the manifest of a run on the bowl of `tests.run_folders.descent` says of theory.
THEORY = {
    "problem": "quadratic",
    "options": {},
    "examples": EXAMPLES,
    "minimum": 0.0,
    "curvature": {
        "largest": max(CURVATURES),
        "smallest": min(CURVATURES),
        "exact": True,
        "every_batch": True,
    },
    "noise": None,
}
KNOWN: dict[str, Any] = {
    "experiment": {"problem": "quadratic", "settings": {"grid": {}}},
    "data": {"quadratic": "abc"},
    "theory": [THEORY],
}


def curves_of(data: dict[str, Any], metric: str) -> list[list[float]]:
    """Return a metric's points of each trial of a page, as its script unpacks them."""
    epochs = (
        data["epochs"] if isinstance(data["epochs"], list) else [data["epochs"]] * data["trials"]
    )
    codes = b64decode(data["curves"][metric])
    values = iter(
        _value(int.from_bytes(codes[at : at + 3], "big")) for at in range(0, len(codes), 3)
    )
    found = [[] if axis is None else [next(values) for _ in data["axes"][axis]] for axis in epochs]
    assert next(values, None) is None
    return found


def _value(code: int) -> float:
    if code < 3:
        return (nan, inf, -inf)[code]
    return float(f"{(code - 3) // 640 - 9999}e{(code - 3) % 640 - 327}")


def write_landscape(folder: Path, trials: Sequence[Made], lowest: float = 0.0) -> None:
    """Write what `gdcli landscape -o landscape.csv` leaves: a bowl, and straight ways to 0."""
    folder.mkdir(parents=True, exist_ok=True)
    side = [k / 10 - 2 for k in range(41)]
    plane = "".join(f"{x},{y},{x * x + y * y + lowest}\n" for y in side for x in side)
    (folder / "landscape.csv").write_text(f"x,y,train_loss\n{plane}")
    ways = "".join(
        f"{made.identity},{step},{1 - step / 10},{0.5 - step / 20},0.25,{loss}\n"
        for made in trials
        for step, loss in enumerate(made.losses)
    )
    header = "trial,step,x,y,off_plane,train_loss\n"
    (folder / "landscape-ways.csv").write_text(header + ways)


def write_page(
    folder: Path,
    trials: Sequence[Made],
    varied: Sequence[str] = (),
    metrics: Sequence[str] = (),
    **manifest: object,
) -> Path:
    """Write a run and its page; return the page."""
    write_run(folder, trials, varied, metrics)
    content: dict[str, Any] = MANIFEST | manifest
    whole: dict[str, Any] = MANIFEST["experiment"] | content["experiment"]
    whole["settings"] = {"problem": {}, "grid": {}, "vary": {}} | whole["settings"]
    (folder / "manifest.json").write_text(json.dumps({**content, "experiment": whole}))
    (folder / "experiment.toml").write_text(EXPERIMENT)
    page = folder / "report.html"
    page.write_bytes(page_bytes(folder))
    return page
