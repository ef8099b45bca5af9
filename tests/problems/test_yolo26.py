"""The problem yolo26 without Ultralytics: its shapes, its options, and what to install."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gdcli.errors import UserError
from gdcli.problems import yolo26
from gdcli.problems.yolo26 import MOST_SHAPES, NAMES, Yolo26, draw_shapes

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64


def test_a_shape_fills_its_box_with_its_colour() -> None:
    drawn = draw_shapes(np.random.default_rng(0), 30, SIZE)
    assert drawn["image"].shape == (30, 3, SIZE, SIZE)
    assert set(np.unique(drawn["class"])) == {-1, 0, 1, 2}
    assert len(NAMES) == MOST_SHAPES == 3
    for image, classes, boxes in zip(drawn["image"], drawn["class"], drawn["box"], strict=True):
        covered = np.zeros((SIZE, SIZE), dtype=int)
        for kind, (x, y, width, height) in zip(classes, SIZE * boxes, strict=True):
            if kind < 0:
                assert width == height == 0
                continue
            left, top = round(x - width / 2), round(y - height / 2)
            inside = np.s_[top : top + round(height), left : left + round(width)]
            colours = image[(slice(None), *inside)]
            assert (colours[kind] >= 160).all()
            assert (np.delete(colours, kind, axis=0) == 40).all()
            covered[inside] += 1
        assert covered.max() == 1  # none covers another
        rest = image[:, covered == 0].astype(float)  # grey, and noise: nothing else
        assert abs(rest.mean() - 114) < 1
        assert 11 < rest.std() < 13


def test_shapes_follow_from_their_stream() -> None:
    first, again, other = (draw_shapes(np.random.default_rng(seed), 3, SIZE) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["image"], other["image"])


def test_its_shapes_are_split_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo26, "find_spec", lambda _: True)
    data = Yolo26(examples=20, image_size=96).load(np.random.default_rng(0))
    assert data.train["image"].shape == (20, 3, 96, 96)
    assert len(data.test["image"]) == 5
    assert len(data.constants["classes"]) == 3


def test_an_image_size_between_two_grids_is_refused() -> None:
    with pytest.raises(UserError, match="--image-size: 100 is not a multiple of 32; give 96 or"):
        Yolo26(image_size=100)


# As a Python without the package would answer, wherever this one has it.
WITHOUT = """
import sys
from importlib import util
find_spec = util.find_spec
util.find_spec = lambda name, *rest: None if name == "ultralytics" else find_spec(name, *rest)
from gdcli.__main__ import main
sys.argv[1:] = {arguments}
sys.exit(main())
"""


def without_ultralytics(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(arguments=list(arguments))
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_without_ultralytics_it_says_what_to_install_and_writes_nothing(tmp_path: Path) -> None:
    done = without_ultralytics(tmp_path, "run", "yolo26", "--lr", "0.1")
    said = "it needs Ultralytics (AGPL-3.0), and there is no package ultralytics"
    assert (done.returncode, done.stderr) == (
        2,
        f"error: yolo26: {said}; pip install 'gdcli[yolo]'\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_its_gradient_is_not_compared_with_differences_of_its_loss(tmp_path: Path) -> None:
    done = without_ultralytics(tmp_path, "gradcheck", "yolo26")
    what = "its gradient takes the assignment of objects to predictions for constant"
    fix = "it is not the loss's; choose another problem"
    assert (done.returncode, done.stderr) == (2, f"error: yolo26: {what}: {fix}\n")


def test_its_help_needs_no_ultralytics_and_names_the_licence(tmp_path: Path) -> None:
    for arguments in (["run", "yolo26", "--help"], ["problems", "yolo26"], ["problems"]):
        done = without_ultralytics(tmp_path, *arguments)
        assert done.returncode == 0
        assert "AGPL-3.0" in done.stdout
