"""Pages of runs made by hand, for tests that read them or open them in a browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gdcli.report.page.page import page_bytes
from tests.run_folders import Made, write_run

MANIFEST = {
    "experiment": {"problem": "quadratic"},
    "fingerprint": {"numpy": "2.4.6", "simd": ["X86_V3"]},
    "equivalent": "gdcli run quadratic --lr=0.1",
    "host": "here",
}
EXPERIMENT = '[problem]\nname = "quadratic"\n'


def write_page(
    folder: Path,
    trials: Sequence[Made],
    varied: Sequence[str] = (),
    metrics: Sequence[str] = (),
    **manifest: object,
) -> Path:
    """Write a run and its page; return the page."""
    write_run(folder, trials, varied, metrics)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST | manifest))
    (folder / "experiment.toml").write_text(EXPERIMENT)
    page = folder / "report.html"
    page.write_bytes(page_bytes(folder))
    return page
