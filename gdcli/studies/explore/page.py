"""An exploration as one HTML file: the data map of every setting, with the examples behind it.

An example is shown as a picture, or as its features in a row, as they were before scaling.
"""

from __future__ import annotations

import io
import re
from base64 import b64encode
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.datasets.sparse import Sparse
from gdcli.engine.examples import load
from gdcli.fields import counted
from gdcli.report.page.content import DRAWING, document, embedded, plain_or_none, scripts_of
from gdcli.runs.manifest import command
from gdcli.studies.explore.files import REGIONS, in_percent
from gdcli.studies.explore.show import columns_of, count_rows, labels_of, target_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial
    from gdcli.studies.explore.dynamics import Exploration, Explored

SCRIPTS = tuple(
    f"studies/explore/{name}.js" for name in ("examples", "filters", "portrait", "map", "explore")
)
MOST_EXAMPLES = 5_000  # on a page: a browser draws so many points, and their pictures fit
MOST_POINTS = 60_000  # of all settings together
PIXEL = re.compile(r"pixel_(\d+)_(\d+)")
MODES = {1: "L", 3: "RGB"}  # of pictures, by their channels
MOST_FEATURES = 64  # of a row
DIGITS = 4


def page_bytes(found: Exploration) -> bytes:
    """Return the page of an exploration."""
    examples = chosen(found)
    counts = map(in_percent, count_rows(found))
    rows = [{"setting": n, **r} for n, r in zip(labels_of(found), counts, strict=True)]
    count = counted(found.examples.data.examples, "training example", "training examples")
    total = found.examples.data.examples
    thinned = (
        f"To keep this page small it has {len(examples)} of the {total} examples, likely label "
        "errors first; all are in examples.csv."
    )
    page = {
        "name": f"Examples of {found.experiment.name}",
        "summary": f"{count}, measured after every epoch.",
        "settings": rows,
        "thinned": thinned if len(examples) < total else "",
        "command": command(),
        "data": embedded(_content(found, examples)),
    }
    return document("studies/explore/explore.html", scripts_of(*DRAWING, *SCRIPTS), page)


def chosen(found: Exploration) -> NDArray[np.int64]:
    """Return which examples are on the page: all, or what looks wrong and some of the rest."""
    total = found.examples.data.examples
    most = min(MOST_EXAMPLES, MOST_POINTS // max(1, len(found.trained)))
    if total <= most:
        return np.arange(total)
    marked = np.zeros(total, bool)
    for setting in found.trained:
        marked |= setting.measures.get("likely_error", marked)
    first = np.flatnonzero(marked)[: most // 2]
    rest = np.setdiff1d(np.arange(total), first)
    even = rest[np.linspace(0, len(rest) - 1, most - len(first)).astype(int)]
    return np.union1d(first, even)


def _content(found: Exploration, examples: NDArray[np.int64]) -> dict[str, Any]:
    """Return what the page's script knows: columns of the examples, and of each setting's."""
    names = dict(zip(map(id, found.settings), labels_of(found), strict=True))
    targets, about = target_columns(found), found.examples.described
    return {
        "classified": found.examples.labels is not None,
        "regions": list(REGIONS),
        "bounds": {"ambiguous": found.options.ambiguous_from, "error": found.options.error_margin},
        "examples": examples.tolist(),
        "classes": list(about.classes),
        "counted": about.counted.replace("_", " "),
        "row_numbers": [about.rows[i] for i in examples.tolist()] if about.rows else [],
        "targets": {name: [column[i] for i in examples] for name, column in targets.items()},
        "settings": [names[id(setting)] for setting in found.trained],
        "measures": [_measures(setting, found, examples) for setting in found.trained],
        **example_images(found.settings[0].trial, examples, about.features),
    }


def _measures(
    setting: Explored, found: Exploration, examples: NDArray[np.int64]
) -> dict[str, list[float | str | None]]:
    return {
        name: [plain_or_none(value) for value in setting.measures[name][examples].tolist()]
        for name in columns_of(found)
    }


def example_images(
    trial: Trial, examples: NDArray[np.int64], names: Sequence[str] = ()
) -> dict[str, Any]:
    """Return {"images": PNG files in base 64} of examples, or their "rows" and feature "names"."""
    x = _unscaled(trial)
    if isinstance(x, Sparse):
        return _frequent(x, examples, names)
    if x.ndim == 2 and names and all(map(PIXEL.fullmatch, names)):
        height, width = (1 + max(int(PIXEL.fullmatch(n)[k]) for n in names) for k in (1, 2))  # type: ignore[index]
        x = x.reshape(-1, 1, height, width)
    if x.ndim == 4 and x.shape[1] in MODES:
        return {"images": _images(x, examples)}
    flat = x.reshape(len(x), -1)
    count = flat.shape[1]
    named = list(names) if len(names) == count else [f"x{i}" for i in range(count)]
    shown = flat[examples][:, :MOST_FEATURES].tolist()
    rows = [[float(f"{value:.{DIGITS}g}") for value in row] for row in shown]
    return {"rows": rows, "names": named[:MOST_FEATURES], "features": count}


def _frequent(
    x: Sparse, examples: Sequence[int] | NDArray[np.int64], names: Sequence[str]
) -> dict[str, Any]:
    """Return the features that most examples have, as `rows` and `names`."""
    counts = np.bincount(x.columns, minlength=x.width)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_FEATURES])
    shown = x[np.asarray(examples)].chosen(chosen).full().tolist()
    rows = [[float(f"{value:.{DIGITS}g}") for value in row] for row in shown]
    named = [names[i] if len(names) == x.width else f"x{i}" for i in chosen.tolist()]
    return {"rows": rows, "names": named, "features": x.width}


def _unscaled(trial: Trial) -> Any:
    """Return the training examples as the file has them, in the order in which they are trained.

    What is drawn for them, such as the split, does not depend on the scale.
    """
    problem = trial.problem
    if "scale" in {field.name for field in fields(problem)}:
        problem = replace(problem, scale="none")  # type: ignore[call-arg]
    return load(problem, trial.training.data_seed).train["x"]


def _images(x: NDArray[Any], examples: Sequence[int] | NDArray[np.int64]) -> list[str]:
    low, high = float(x.min()), float(x.max())
    scaled = 255 * (x[examples] - low) / ((high - low) or 1.0)
    pixels = np.moveaxis(scaled.round().astype(np.uint8), 1, -1)
    return [b64encode(png(image)).decode() for image in pixels]


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels, (height, width, 1 or 3 channels), as a PNG file."""
    from PIL import Image

    made = io.BytesIO()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    # Without filters: of pictures of a few pixels they make larger files.
    picture.save(made, "PNG", compress_level=9, compress_type=0)
    return made.getvalue()
