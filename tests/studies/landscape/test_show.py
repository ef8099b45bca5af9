"""Pictures of landscapes: in the terminal and as files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gdcli.report.dry_run import trial_labels
from gdcli.runs.options import Silent
from gdcli.studies.landscape.show import (
    MOST_NAMED,
    _look,
    contour,
    drawn,
    figure_of,
    height_scale,
    heights,
    said,
)
from gdcli.studies.landscape.surface import Landscape, landscape
from gdcli.studies.options import Compute, View
from tests.grids import experiment


def scene(
    name: str = "rosenbrock",
    view: View | None = None,
    options: dict[str, Any] | None = None,
    **grid: Any,
) -> Landscape:
    read = experiment(name, options, **{"steps": "50", **grid})
    return landscape(read, view or View(resolution=21), Compute("cpu"), Silent)


def rows(found: Landscape, width: int = 70) -> list[str]:
    labels = trial_labels([way.trial for way in found.ranked])
    return [line.plain for line in contour(found, labels, width)]


def test_the_terminal_shows_ways_from_start_to_end() -> None:
    found = scene(lr="0.001,0.0001", steps="2000")
    lines = rows(found)
    picture = "".join(lines[:16])
    assert picture.count("A") == picture.count("B") == 1
    assert picture.count("a") > 10
    assert all(len(line) <= 70 for line in lines[:17])
    assert lines[-2].startswith(" a gd vanilla lr 0.001, to A: loss ")


def test_a_way_is_drawn_where_it_goes() -> None:
    view = View(resolution=5, x_range=(-2, 2), y_range=(-2, 2))
    lines = rows(scene("quadratic", view))
    # From (1, 1), the upper right, to (0, 0), the middle.
    across = [line.find("A") for line in lines[:16]]
    up = next(i for i, column in enumerate(across) if column > 0)
    assert up in (7, 8)
    inside = len(lines[16]) - 5
    assert across[up] - 5 == pytest.approx(inside / 2, abs=3)


def test_what_cannot_be_seen_is_said() -> None:
    found = scene(lr="0.001,0.1", view=View(resolution=9, y_range=(-1e200, 1e200)))
    lines = list(said(found))
    assert "1 of 2 trials leave the picture; they are cut at its edge" in lines
    assert "72 of 81 points have no finite loss" in lines
    assert any("?" in row for row in rows(found)[:16])
    assert rows(found)[-1].endswith("to B: diverged")


def test_a_plane_without_a_finite_loss_has_no_picture() -> None:
    found = scene(view=View(resolution=3, x_range=(1e200, 2e200), y_range=(1, 2)))
    assert rows(found) == ["no point of the plane has a finite loss"]
    assert drawn(found, "png")


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_same_landscape_is_the_same_file(form: str) -> None:
    found = scene(lr="0.001,0.1,1e10")  # two leave, one of them to where no line is drawn
    assert drawn(found, form) == drawn(found, form)


def test_the_picture_is_not_blank() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(drawn(scene(lr="0.001,0.1"), "png"))).convert("L"))
    assert len(np.unique(pixels)) > 50


def test_the_picture_shows_every_way_and_names_the_lowest() -> None:
    found = scene(lr="log:1e-5:1e-3:20")
    (axes,) = [a for a in figure_of(found).axes if a.get_xlabel()]
    assert len(axes.lines) == 3 * 20  # each with both of its ends
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "grey: 8 that end higher"
    named = [text.get_text() for text in legend.get_texts()]
    assert len(named) == 12
    assert named[0] == "gd vanilla lr 0.001"
    assert axes.get_xlim() == (found.xs[0], found.xs[-1])


def test_a_cheap_loss_is_seen_finely_and_another_coarsely() -> None:
    assert len(scene(steps="2", view=View()).xs) == 201
    few = scene("mlp", View(), {"dataset": "breast-cancer", "hidden": "20"}, steps="2")
    assert few.losses.shape == (51, 51)
    assert any(line.endswith("; 51 x 51 points") for line in said(few))


def test_the_valley_of_rosenbrock_has_no_islands() -> None:
    found = scene(lr="0.001", steps="100", view=View())
    scale = height_scale(found.losses)
    assert scale is not None
    places = heights(found.losses, scale)
    middle = [y for y in range(len(found.ys)) if found.ys[y] > 0.2]
    valley = np.array([places[y].min() for y in middle])
    # Along the valley nothing stands between the lowest points: no more than a colour's step.
    assert abs(np.diff(valley)).max() < 0.05


def test_few_points_are_drawn_as_cells_and_many_as_contours() -> None:
    coarse, fine = (figure_of(scene(view=View(resolution=r))).axes[0] for r in (21, 151))
    (cells,) = coarse.images
    assert np.asarray(cells.get_array()).shape == (21, 21)
    assert len(coarse.collections) == 0
    assert not fine.images
    assert len(fine.collections) > 0


def test_a_trial_that_diverges_covers_no_other() -> None:
    found = scene("quadratic", View(resolution=9), {"condition": "4"}, lr="0.3,1.9", steps="30")
    lost = [order for order, way in enumerate(found.ranked) if way.diverged]
    text = "".join(rows(found)[:16])
    assert lost == [1]
    assert text.count("b") <= 3


def test_in_colour_a_cell_has_two_losses() -> None:
    found = scene(lr="0.001", view=View(resolution=41))
    labels = trial_labels([way.trial for way in found.ranked])
    lines = contour(found, labels, 80, colored=True)
    halves = [span for line in lines[:16] for span in line.spans if " on " in str(span.style)]
    colors = {color for span in halves for color in str(span.style).split() if color[0] == "#"}
    assert len(colors) > 20
    assert all(set(line.plain[6:]) <= set("\u2580aA") for line in lines[:16])


def test_names_and_styles_differ_pairwise() -> None:
    assert len({_look(order) for order in range(MOST_NAMED)}) == MOST_NAMED


def test_a_point_at_the_minimum_does_not_stretch_the_scale() -> None:
    losses = np.append(np.linspace(1.0, 100.0, 999), 1e-14).reshape(10, 100)
    scale = height_scale(losses)
    assert scale is not None
    assert scale.low >= 1
    places = heights(losses, scale)
    assert places.min() == 0
    assert places.max() == 1


def test_heights_of_what_is_not_finite_are_nan() -> None:
    losses = np.array([[1.0, np.inf], [np.nan, 10.0]])
    scale = height_scale(losses)
    assert scale is not None
    np.testing.assert_array_equal(heights(losses, scale), [[0, np.nan], [np.nan, 1]])
    assert height_scale(np.array([[np.nan]])) is None


def test_labels_say_what_differs() -> None:
    trials = experiment(
        "quadratic", lr="0.1", seed="0,1", optimizer="momentum", vary={"momentum.beta": "0.5,0.9"}
    ).grid.trials
    assert trial_labels(trials)[0] == "gd momentum lr 0.1 seed 0 momentum.beta 0.5"
    assert trial_labels(trials[:1]) == ["gd momentum lr 0.1"]
